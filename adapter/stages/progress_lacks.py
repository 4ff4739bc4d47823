"""Why something of the progress cannot be said, in words."""

from __future__ import annotations

from adapter.backend_loading import build, costly
from adapter.stages.context import Project
from adapter.vocabulary import Control, ModelState

OFF = "the blind sample is off, `blind.share` is 0: nothing can be measured"


def blind_off(project: Project) -> bool:
    """Whether there is no blind sample, nor will be."""
    return not project.blind.share and not project.store.tasks.index(project.name).blind.any()


def no_model(project: Project) -> str:
    """Return why no model is in use; empty where one is."""
    if project.store.models.current(project.name) is not None:
        return ""
    models = project.store.models.all(project.name)
    if models and all(model.state is ModelState.REJECTED for model in models):
        return "the gate has refused every candidate so far"
    return "no model is in use" if models else "there is no model yet"


def lacking(project: Project) -> str:
    """Return what keeps the curve from being looked along, whatever is labelled; empty where nothing does."""
    if blind_off(project):
        return OFF
    return no_model(project) if project.store.models.all(project.name) else ""


def unmeasured(project: Project, control: Control, blind: int) -> str:
    """Return why there is no curve of a control. blind: its labelled blind tasks."""
    if blind_off(project):
        return OFF
    if not blind or not project.store.models.all(project.name):
        return "no model has been measured on labelled blind tasks yet"
    settings = project.backend_of(control)
    backend = build(settings.path, control.fields or (control.field,), settings.options, project.offered(control))
    if costly(backend):
        return "the backend costs money, so no model is asked about blind tasks for the curve"
    return "the models so far were not asked about the watched tasks: `hitl progress --measure` does it"


def no_curve(project: Project) -> str:
    """Return why no control has a curve, and how the last model of regions was judged."""
    if not project.marked:
        return "no control has labels that a backend learns"
    names = ", ".join(control.name for control in project.marked)
    text = f"the curve is drawn for controls with a list of labels only, not for the regions of {names}"
    models = project.store.models.all(project.name)
    if not models:
        return f"{text}; there is no model yet"
    last = max(models, key=lambda model: model.number)
    sentence = str((last.verdict or {}).get("sentence", "")).rstrip(".")
    return f"{text}; the last model, {last.version}: {sentence}" if sentence else text


__all__ = ["OFF", "blind_off", "lacking", "no_curve", "no_model", "unmeasured"]
