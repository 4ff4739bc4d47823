"""The checks of `hitl doctor`: each a function from facts to a finding, which says how to mend what is wrong."""

from __future__ import annotations

import base64
import binascii
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter.errors import HitlError, LabelConfigError, SettingsError
from adapter.ports import ConnectedBackend, PlatformProject, Webhook

if TYPE_CHECKING:
    from adapter.vocabulary import LabelSpace

LITTLE_SPACE = 1 << 30
NO_SPACE = 100 << 20
ORDERS = {"window": "Sequential sampling", "in-place": "Uncertainty sampling"}


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: where, what was found, and, unless it is fine, how to mend it."""

    level: Level
    where: str
    what: str
    remedy: str = ""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status 0 means that there was none, and body says why."""

    status: int
    body: str


Fetch = Callable[[str, str, Mapping[str, str], Any], Answer]
"""(method, url, headers, JSON body or None) -> Answer; never raises."""


def fetch(method: str, url: str, headers: Mapping[str, str], body: Any) -> Answer:
    """Ask over HTTP, directly (no proxy), within five seconds."""
    import httpx

    try:
        with httpx.Client(timeout=5, trust_env=False, follow_redirects=False) as http:
            answer = http.request(method, url, headers=dict(headers), json=body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Answer(0, str(error) or type(error).__name__)
    return Answer(answer.status_code, answer.text[:2000])


def failed(where: str, error: HitlError) -> Finding:
    """An error as a finding."""
    place = f"{error.where}: " if error.where else ""
    return Finding(Level.ERROR, where, f"{place}{error.what}".rstrip("."), error.remedy or (type(error).__doc__ or ""))


def settings_finding(error: SettingsError) -> Finding:
    """Settings that cannot be read end the examination."""
    return failed("settings", error)


def disk_finding(home: Path, free: int | None = None) -> Finding:
    """Whether the data folder's disk has room."""
    if free is None:
        there = next(folder for folder in (home, *home.parents) if folder.exists())
        free = shutil.disk_usage(there).free
    text = f"{free / (1 << 30):.1f} GiB free"
    if free < NO_SPACE:
        return Finding(Level.ERROR, str(home), text, "Free some space, or move `home` to another disk.")
    if free < LITTLE_SPACE:
        return Finding(Level.WARN, str(home), text, "Free some space soon; models and embeddings need it.")
    return Finding(Level.OK, str(home), text)


def reach_finding(url: str, answer: Answer) -> Finding:
    """Whether something that is Label Studio answers at its address."""
    if answer.status == 0:
        return Finding(
            Level.ERROR,
            url,
            f"Label Studio does not answer ({answer.body})",
            "Start it (`hitl up` does, with `label_studio.embedded: true`), or mend `label_studio.url`.",
        )
    if answer.status != 200:
        return Finding(
            Level.ERROR,
            url,
            f"this is no healthy Label Studio: GET /health answers {answer.status}",
            "Mend `label_studio.url`; it is the address of the start page, without /projects.",
        )
    return Finding(Level.OK, url, "Label Studio answers")


def token_kind(token: str) -> str:
    """Return `none`, `personal` (a refresh JWT), `access` (a JWT that lives five minutes) or `legacy`."""
    if not token:
        return "none"
    parts = token.split(".")
    if len(parts) != 3:
        return "legacy"
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return "legacy"
    return "access" if isinstance(claims, dict) and claims.get("token_type") == "access" else "personal"


def token_finding(url: str, token: str, ask: Fetch) -> tuple[Finding, dict[str, str]]:
    """Whether the token is of a kind that lasts and is accepted; returns the headers that it gives."""
    where, kind = "label_studio.token", token_kind(token)
    page = "Label Studio's page 'Account & Settings'"
    if kind == "none":
        advice = f"Set HITL_LABEL_STUDIO_TOKEN to a token from {page}."
        return Finding(Level.ERROR, where, "no token is set", advice), {}
    if kind == "access":
        what = "this is an access token, which lives five minutes"
        return Finding(Level.ERROR, where, what, f"Use the personal access token itself, from {page}."), {}
    headers = {"Authorization": f"Token {token}"}
    if kind == "personal":
        answer = ask("POST", f"{url}/api/token/refresh/", {}, {"refresh": token})
        if answer.status != 200:
            what = f"the personal access token is refused ({answer.status}): revoked, expired, or of another server"
            return Finding(Level.ERROR, where, what, f"Make a new one on {page}."), {}
        try:
            headers = {"Authorization": f"Bearer {json.loads(answer.body)['access']}"}
        except (ValueError, KeyError, TypeError):
            what = "Label Studio gave no access token for the personal one"
            return Finding(Level.ERROR, where, what, "Check that `label_studio.url` is Label Studio's."), {}
    answer = ask("GET", f"{url}/api/current-user/whoami", headers, None)
    if answer.status == 200:
        return Finding(Level.OK, where, f"the {kind} token is accepted"), headers
    if answer.status == 401 and kind == "legacy":
        disabled = "legacy" in answer.body.lower() or "no longer valid" in answer.body.lower()
        what = (
            "legacy tokens are switched off in this organisation" if disabled else "the legacy token is refused (401)"
        )
        advice = f"Use a personal access token from {page}, or allow legacy tokens on its page 'Organization'."
        return Finding(Level.ERROR, where, what, advice), {}
    return Finding(
        Level.ERROR, where, f"the {kind} token is refused ({answer.status})", f"Make a new one on {page}."
    ), {}


def ours_finding(url: str, answer: Answer) -> Finding:
    """Whether our own endpoints answer under the address that Label Studio is given."""
    if answer.status == 200:
        return Finding(Level.OK, url, "our endpoints answer")
    found = f"answers {answer.status}" if answer.status else f"does not answer ({answer.body})"
    return Finding(
        Level.WARN,
        url,
        f"our web process {found}: no pre-labels on open, and webhooks are lost (polling goes on)",
        "Start it with `hitl up`. If it runs, set `web.public_url` to the address under which others reach it.",
    )


def blocked_finding(ours: str, answers: tuple[Answer, Answer]) -> Finding:
    """Whether Label Studio refuses addresses like ours.

    answers: to a request for an ML backend, and one for a webhook, that lack what they need: they are always refused,
    and the reason tells whether the address alone was enough for that.
    """
    names = ("ML backend (ML_BLOCK_LOCAL_IP)", "webhook (SSRF_PROTECTION_ENABLED)")
    blocked = [name for name, answer in zip(names, answers, strict=True) if _is_block(answer)]
    if blocked:
        return Finding(
            Level.ERROR,
            ours,
            "Label Studio refuses local and private addresses ('reserved network address') for our "
            + " and ".join(blocked),
            "Start Label Studio with ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false in its environment, "
            "or give `web.public_url` a public address.",
        )
    return Finding(Level.OK, ours, "Label Studio accepts our address")


def _is_block(answer: Answer) -> bool:
    text = answer.body.lower()
    return "reserved network address" in text or (answer.status == 403 and "local or private" in text)


def label_finding(where: str, space: LabelSpace, there: PlatformProject) -> Finding:
    """Whether Label Studio's label config lists the controls and labels that ours does."""
    from adapter.stages.setup import require_same_labels

    try:
        require_same_labels(space, there)
    except LabelConfigError as error:
        return failed(where, error)
    return Finding(Level.OK, where, f"labels are the same in Label Studio project {there.id} '{there.title}'")


def sampling_finding(where: str, mode: str, there: PlatformProject) -> Finding:
    """Whether Label Studio serves tasks in the order that the project's mode needs."""
    wanted = ORDERS[mode]
    if there.sampling == wanted:
        return Finding(Level.OK, where, f"tasks are served by {wanted.lower()}")
    return Finding(
        Level.ERROR,
        where,
        f"Label Studio serves tasks by '{there.sampling}', so people do not see them in our order",
        f"In Label Studio: project settings, Annotation, Task Sampling: choose '{wanted}'.",
    )


def version_finding(
    where: str, there: PlatformProject, current: str | None, backend_title: str, counts: Mapping[str, int]
) -> Finding:
    """Whether Label Studio shows the pre-labels of the current model version."""
    shown = there.model_version
    if shown == backend_title:
        return Finding(
            Level.ERROR,
            where,
            f"Label Studio's model version is the ML backend's title '{shown}', so stored pre-labels are not shown and "
            "the order by score is random",
            "Run `hitl push`, which sets it, or choose the version in Label Studio's project settings, Annotation.",
        )
    if current is None:
        return Finding(Level.OK, where, f"no model is trained yet; Label Studio shows '{shown or 'no version'}'")
    if shown != current:
        return Finding(
            Level.WARN,
            where,
            f"Label Studio shows pre-labels of '{shown or 'no version'}', the current model is '{current}'",
            f"`hitl push {where.removeprefix('project ')}` stores its pre-labels and switches; so does `hitl up`.",
        )
    if not counts.get(shown):
        advice = f"`hitl push {where.removeprefix('project ')}` stores them."
        return Finding(Level.WARN, where, f"no pre-label of the current model '{current}' is stored", advice)
    return Finding(Level.OK, where, f"Label Studio shows pre-labels of the current model '{current}'")


def webhook_finding(where: str, url: str, header: str, hooks: Sequence[Webhook]) -> Finding:
    """Whether annotations are announced to us, with our secret. Label Studio's own copy without header does no harm."""
    mine = [hook for hook in hooks if hook.url.rstrip("/") == url.rstrip("/")]
    renew = f"`hitl push {where.removeprefix('project ')}` registers it again; `hitl up` does so by itself."
    signed = [hook for hook in mine if header.lower() in {name.lower() for name in hook.header_names}]
    if any(hook.active for hook in signed):
        return Finding(Level.OK, where, "the webhook stands, with its secret")
    if signed:
        return Finding(
            Level.ERROR, where, "the webhook is switched off", "Switch it on in the project's webhook settings."
        )
    if mine:
        return Finding(
            Level.ERROR, where, f"the webhook lacks its secret header {header}, so we refuse what it sends", renew
        )
    others = ", ".join(sorted({hook.url for hook in hooks})) or "none"
    return Finding(Level.ERROR, where, f"no webhook leads to {url} (there: {others})", renew)


def backend_finding(where: str, url: str, backends: Sequence[ConnectedBackend]) -> Finding:
    """Whether Label Studio reaches our ML backend."""
    mine = [backend for backend in backends if backend.url.rstrip("/") == url.rstrip("/")]
    if any(backend.state == "CO" for backend in mine):
        return Finding(Level.OK, where, "Label Studio reaches our ML backend")
    if mine:
        return Finding(
            Level.ERROR,
            where,
            f"Label Studio cannot reach our ML backend at {url} (state {mine[0].state})",
            "Start `hitl up`; check that this address is reachable from Label Studio's machine or container "
            "(`web.public_url`), and that `web.backend_password` did not change.",
        )
    return Finding(
        Level.ERROR,
        where,
        f"our ML backend {url} is not connected",
        f"Start `hitl up`, or run `hitl push {where.removeprefix('project ')}` while the web process runs.",
    )
