"""What `hitl doctor` looks at: `diagnose` gathers the facts, the checks in `findings` judge them.

Nothing is changed by looking: no check creates, edits or deletes anything in Label Studio or in the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from adapter.errors import HitlError, ModelError
from adapter.findings import (
    Fetch,
    Finding,
    Level,
    backend_finding,
    blocked_finding,
    disk_finding,
    failed,
    fetch,
    label_finding,
    ours_finding,
    reach_finding,
    sampling_finding,
    settings_finding,
    token_finding,
    version_finding,
    webhook_finding,
)

if TYPE_CHECKING:
    from adapter.app import App
    from adapter.stages.context import Project

MOST_BLIND = 0.6
"""Share of blind tasks above which `doctor` warns."""


def diagnose(app: App, settings_path: Path, *, ask: Fetch = fetch) -> list[Finding]:
    """Run every check and return the findings in the order in which to mend them."""
    return list(_diagnose(app, settings_path, ask))


def _diagnose(app: App, settings_path: Path, ask: Fetch) -> Iterator[Finding]:
    settings = app.settings
    count = len(settings.projects)
    yield Finding(Level.OK, str(settings_path), f"settings are valid, {count} project{'' if count == 1 else 's'}")
    if not count:
        yield Finding(Level.WARN, "projects", "there is no project yet", "Make one with `hitl init`.")
    yield disk_finding(settings.home)
    store_works = True
    try:
        app.store.projects.all()
        yield Finding(Level.OK, "store", "reachable and migrated")
    except HitlError as error:
        store_works = False
        yield failed("store", error)
    url, token = _address(app)
    reach = reach_finding(url, ask("GET", f"{url}/health", {}, None))
    yield reach
    usable = False
    if reach.level is Level.OK:
        finding, headers = token_finding(url, token, ask)
        yield finding
        usable = finding.level is Level.OK
    ours = settings.web.public_url.rstrip("/") or f"http://{settings.web.host}:{settings.web.port}"
    yield ours_finding(ours, ask("GET", f"{ours}/health", {}, None))
    if usable:
        probes = (("/api/ml/", {"url": ours}), ("/api/webhooks/", {"url": ours, "actions": ["NO_SUCH_ACTION"]}))
        first, second = (ask("POST", url + path, headers, body) for path, body in probes)
        yield blocked_finding(ours, (first, second))
    for name in sorted(settings.projects):
        try:
            project = app.project(name)
            yield from function_findings(project)
            yield model_finding(project)
            yield from order_findings(project)
            if usable and store_works:
                yield from platform_findings(project)
        except HitlError as error:
            yield failed(f"project {name}", error)


def _address(app: App) -> tuple[str, str]:
    from adapter.app import embedded_token

    conf = app.settings.label_studio
    token = conf.token.get_secret_value()
    if conf.embedded:
        return f"http://127.0.0.1:{conf.port}", token or embedded_token(app.settings.home)
    return conf.url.rstrip("/"), token


def platform_findings(project: Project) -> Iterator[Finding]:
    """Compare a project with what Label Studio holds of it."""
    from adapter.stages.setup import WEBHOOK_HEADER, WEBHOOK_PATH

    where = f"project {project.name}"
    platform_id = project.platform_id
    if platform_id is None:
        advice = f"`hitl up` or `hitl push {project.name}` makes it, `hitl attach {project.name} --id N` adopts one."
        yield Finding(Level.WARN, where, "it is in no Label Studio project yet", advice)
        return
    there = project.platform.project(platform_id)
    yield label_finding(where, project.space, there)
    yield sampling_finding(where, project.settings.mode, there)
    current = project.store.models.current(project.name)
    counts = project.platform.prediction_versions(platform_id)
    yield version_finding(where, there, current.version if current else None, project.backend_title, counts)
    hooks = project.platform.webhooks(platform_id)
    yield webhook_finding(where, project.public_url + WEBHOOK_PATH, WEBHOOK_HEADER, hooks)
    yield backend_finding(where, project.public_url, project.platform.backends(platform_id))


def function_findings(project: Project) -> Iterator[Finding]:
    """Whether the labeling functions import, name controls that exist, and return labels that are listed."""
    from adapter.function_labels import unknown_labels
    from adapter.labeling import control_of

    where = f"project {project.name}"
    functions = project.functions()
    wrong = 0
    for function in functions:
        try:
            control = control_of(function, project.space)
        except HitlError as error:
            wrong += 1
            yield failed(where, error)
            continue
        for label, line, advice in unknown_labels(function, control.labels):
            wrong += 1
            yield Finding(
                Level.ERROR,
                f"{function.module}:{line}",
                f"labeling function '{function.name}' returns '{label}', which control '{control.name}' does not list",
                advice,
            )
    if functions and not wrong:
        yield Finding(Level.OK, where, f"{len(functions)} labeling functions, all labels known")
    elif not functions:
        yield Finding(Level.OK, where, "no labeling functions")


def model_finding(project: Project) -> Finding:
    """Whether the model backend can be loaded and takes its options, and the current model's files are there."""
    from adapter.backend_loading import build, for_labels, for_regions
    from adapter.stages.evidence import current_judge

    where, paths = f"project {project.name}", dict[str, None]()
    try:
        for control in (*project.learned, *project.marked):
            conf = project.backend_of(control)
            made = build(conf.path, control.fields or project.space.fields[:1], conf.options, project.offered(control))
            _ = for_labels(made, control.name) if control in project.learned else for_regions(made, control.name)
            paths[conf.path] = None
    except HitlError as error:
        return failed(where, error)
    if not paths:
        return Finding(Level.OK, where, "no control has a model: people label alone")
    try:
        current_judge(project)
    except ModelError as error:
        return failed(where, error)
    except HitlError:
        pass  # the store has a finding of its own
    return Finding(Level.OK, where, f"the model backends load: {', '.join(paths)}")


def order_findings(project: Project) -> Iterator[Finding]:
    """Whether the strategies are there, and whether the blind sample leaves something to learn from."""
    from adapter.core.strategies import load_strategy

    where, rank = f"project {project.name}", project.settings.rank
    for key, name in (("rank.strategy", rank.strategy), ("rank.cold_start", rank.cold_start)):
        try:
            load_strategy(name, project.config, where=key)
        except HitlError as error:
            yield failed(where, error)
    share = project.settings.blind.share
    if share == 0:
        advice = "Set `blind.share`, such as 0.1, unless you can do without."
        yield Finding(
            Level.WARN, where, "blind.share is 0: no accuracy, no gate and no saving can ever be measured", advice
        )
    elif share > MOST_BLIND:
        advice = "Blind tasks never train: lower `blind.share`, such as to 0.1."
        yield Finding(Level.WARN, where, f"blind.share is {share:g}: little or nothing is left to learn from", advice)


__all__ = ["Finding", "Level", "diagnose", "settings_finding"]
