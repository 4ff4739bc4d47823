"""Support mails: billing, technical, shipping or other. Keywords, and the rule that a mail without any is `other`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapter.labeling import keywords, labeling_function, regex

BILLING, TECHNICAL, SHIPPING, OTHER = "billing", "technical", "shipping", "other"

invoice = keywords(
    BILLING,
    ["invoice", "invoices", "receipt", "receipts", "bill", "bills", "statement", "fee", "fees", "tax"],
    doc="Names a paper of the accountants.",
    examples=[({"text": "I never got my receipt."}, BILLING), ({"text": "A taxing day"}, None)],
)

charge = regex(
    BILLING,
    r"\b(?:charged?|refund\w*|debited|paid|pay|payments?|money|price|discount|declined)\b",
    flags="i",
    doc="Money that moved or should have.",
    examples=[({"text": "Please refund me"}, BILLING), ({"text": "My charger is broken"}, None)],
)

plan = keywords(
    BILLING,
    [
        *("subscription", "subscriptions", "renewal", "renewals", "my plan", "bank", "credit card", "my card"),
        "the card",
    ],
    doc="A subscription, or the card that pays for it.",
    examples=[({"text": "My plan ends soon"}, BILLING), ({"text": "Plan B"}, None)],
)

error = regex(
    TECHNICAL,
    r"\b(?:errors?|crash\w*|bugs?|freez\w+|frozen|restarts?|closes? by itself|blank|white)\b",
    flags="i",
    doc="Something stops, crashes or stays white.",
    examples=[({"text": "It keeps crashing"}, TECHNICAL), ({"text": "terror"}, None)],
)

account = regex(
    TECHNICAL,
    r"\b(?:log(?:ging)? ?in|password|login|sign in|two-step|settings were)\b",
    flags="i",
    doc="Trouble with logging in.",
    examples=[({"text": "I cannot log in"}, TECHNICAL), ({"text": "the log"}, None)],
)

device = regex(
    TECHNICAL,
    r"\b(?:app|update|firmware|export|network|wireless|connect\w*|load|install\w*|sync\w*|notifications?|screen|page)\b",
    flags="i",
    doc="Speaks of software, updates, connections.",
    examples=[({"text": "Since the update"}, TECHNICAL), ({"text": "happy"}, None)],
)

parcel = keywords(
    SHIPPING,
    [
        *("parcel", "parcels", "package", "packages", "courier", "couriers", "carrier", "customs", "tracking", "box"),
        "driver",
    ],
    doc="A parcel, or someone who carries it.",
    examples=[({"text": "Where is my parcel?"}, SHIPPING), ({"text": "boxing"}, None)],
)

delivery = regex(
    SHIPPING,
    r"\b(?:deliver\w*|ship\w*|dispatch\w*|arriv\w+|express|pick-up|address)\b",
    flags="i",
    doc="Something is on its way.",
    examples=[({"text": "It has not arrived"}, SHIPPING), ({"text": "membership"}, None)],
)

order_number = regex(
    SHIPPING,
    r"\b(?:order \d[\d-]*|wrong \w+|sent me the|send \w+ \w+ back|return label|missing from)\b",
    flags="i",
    doc="Names an order, or a wrong or returned item.",
    examples=[({"text": "Order 12-7"}, SHIPPING), ({"text": "in order"}, None)],
)

company = regex(
    OTHER,
    r"\b(?:visit|student|positions?|jobs?|career|newsletter|reseller|fair|opening hours|partners?\w*|interview"
    r"|commercial|recommend|logo)\b",
    flags="i",
    doc="About the company rather than about something bought.",
    examples=[({"text": "May I visit you?"}, OTHER), ({"text": "unfair"}, None)],
)

TOPICS = (invoice, charge, plan, error, account, device, parcel, delivery, order_number)


@labeling_function(examples=[({"text": "Good morning"}, OTHER), ({"text": "my password"}, None)])
def no_topic(data: Mapping[str, Any]) -> str | None:
    """No keyword of any other topic."""
    return None if any(topic(data) for topic in TOPICS) else OTHER
