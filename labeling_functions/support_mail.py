"""Support mails: billing, technical, shipping or other. Keywords, and the rule that a mail without any is `other`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from adapter.labeling import labeling_function

BILLING, TECHNICAL, SHIPPING, OTHER = "billing", "technical", "shipping", "other"

_INVOICE = re.compile(r"\b(?:invoices?|receipts?|bill|bills|statement|fee|fees|tax)\b", re.I)
_CHARGE = re.compile(r"\b(?:charged?|refund\w*|debited|paid|pay|payments?|money|price|discount|declined)\b", re.I)
_PLAN = re.compile(r"\b(?:subscriptions?|renewals?|my plan|bank|credit card|my card|the card)\b", re.I)
_ERROR = re.compile(r"\b(?:errors?|crash\w*|bugs?|freez\w+|frozen|restarts?|closes? by itself|blank|white)\b", re.I)
_ACCOUNT = re.compile(r"\b(?:log(?:ging)? ?in|password|login|sign in|two-step|settings were)\b", re.I)
_DEVICE = re.compile(
    r"\b(?:app|update|firmware|export|network|wireless|connect\w*|load|install\w*|sync\w*|notifications?|screen|page)\b",
    re.I,
)
_PARCEL = re.compile(r"\b(?:parcels?|packages?|couriers?|carrier|customs|tracking|box|driver)\b", re.I)
_DELIVERY = re.compile(r"\b(?:deliver\w*|ship\w*|dispatch\w*|arriv\w+|express|pick-up|address)\b", re.I)
_ORDER = re.compile(r"\b(?:order \d[\d-]*|wrong \w+|sent me the|send \w+ \w+ back|return label|missing from)\b", re.I)
_COMPANY = re.compile(
    r"\b(?:visit|student|positions?|jobs?|career|newsletter|reseller|fair|opening hours|partners?\w*|interview"
    r"|commercial|recommend|logo)\b",
    re.I,
)

_TOPICS = (_INVOICE, _CHARGE, _PLAN, _ERROR, _ACCOUNT, _DEVICE, _PARCEL, _DELIVERY, _ORDER)


@labeling_function
def invoice(data: Mapping[str, Any]) -> str | None:
    """Names a paper of the accountants."""
    return BILLING if _INVOICE.search(data["text"]) else None


@labeling_function
def charge(data: Mapping[str, Any]) -> str | None:
    """Money that moved or should have."""
    return BILLING if _CHARGE.search(data["text"]) else None


@labeling_function
def plan(data: Mapping[str, Any]) -> str | None:
    """A subscription, or the card that pays for it."""
    return BILLING if _PLAN.search(data["text"]) else None


@labeling_function
def error(data: Mapping[str, Any]) -> str | None:
    """Something stops, crashes or stays white."""
    return TECHNICAL if _ERROR.search(data["text"]) else None


@labeling_function
def account(data: Mapping[str, Any]) -> str | None:
    """Trouble with logging in."""
    return TECHNICAL if _ACCOUNT.search(data["text"]) else None


@labeling_function
def device(data: Mapping[str, Any]) -> str | None:
    """Speaks of software, updates, connections."""
    return TECHNICAL if _DEVICE.search(data["text"]) else None


@labeling_function
def parcel(data: Mapping[str, Any]) -> str | None:
    """A parcel, or someone who carries it."""
    return SHIPPING if _PARCEL.search(data["text"]) else None


@labeling_function
def delivery(data: Mapping[str, Any]) -> str | None:
    """Something is on its way."""
    return SHIPPING if _DELIVERY.search(data["text"]) else None


@labeling_function
def order_number(data: Mapping[str, Any]) -> str | None:
    """Names an order, or a wrong or returned item."""
    return SHIPPING if _ORDER.search(data["text"]) else None


@labeling_function
def company(data: Mapping[str, Any]) -> str | None:
    """About the company rather than about something bought."""
    return OTHER if _COMPANY.search(data["text"]) else None


@labeling_function
def no_topic(data: Mapping[str, Any]) -> str | None:
    """No keyword of any other topic."""
    return None if any(topic.search(data["text"]) for topic in _TOPICS) else OTHER
