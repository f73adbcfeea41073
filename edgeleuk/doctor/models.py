"""Model checks: files as published, and a trial run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edgeleuk.doctor import trial
from edgeleuk.doctor.findings import Finding
from edgeleuk.doctor.machine import again
from edgeleuk.doctor.trial import UnfinishedError, tried
from edgeleuk.errors import ModelError
from edgeleuk.models import registry, updates
from edgeleuk.system.wording import command, option


def models(*, at_work: bool = True, telling: Callable[[str], None] = lambda _: None) -> Iterator[Finding]:
    """Check the model of each magnification.

    Yields also one finding for each installed version that is not used because it is altered. After a model that did not
    finish in time the others are not tried: they would take as long.

    Args:
        at_work: Also open each model and run it on the sample, in a process of its own.
        telling: Called with a message before each trial.
    """
    here = registry.available()
    if not here:
        places = " or ".join(map(str, registry.roots()))
        yield Finding("models", "failure", f"There are no models in {places}.", *_whole_again())
    for magnification in here:
        if at_work:
            telling(f"trying the {magnification} model, for {trial.PATIENCE_S:.0f} s at most")
        found = _model(magnification, at_work)
        at_work = at_work and not found.facts.get("unfinished")
        yield found
    for magnification in registry.MAGNIFICATIONS:
        for version in updates.versions(magnification):
            if version.problem:
                yield _altered(version)


def _model(magnification: str, at_work: bool) -> Finding:
    check, began = f"model {magnification}", time.perf_counter()
    try:
        model = registry.load(magnification)
        if at_work:
            tried(model)
    except UnfinishedError as error:
        return _unfinished(check, model, error)
    except ModelError as error:
        if _in_use(magnification) and magnification in registry.shipped():
            advice = "That one came with the program; the one that fails was installed."
            return Finding(
                check, "failure", str(error), f"{command('models use')} {magnification} builtin", advice
            )
        return Finding(check, "failure", str(error), *_whole_again())
    seconds = time.perf_counter() - began
    origin = _origin(model)
    facts = {"version": model.version, "origin": origin, "tried": at_work, "seconds": round(seconds, 2)}
    done = f"it did its work on the sample in {seconds:.0f} s" if at_work else "not tried"
    return Finding(check, "ok", f"Version {model.version}, {origin}: as published; {done}.", facts=facts)


def _unfinished(check: str, model: registry.Model, error: UnfinishedError) -> Finding:
    """Report a trial that did not finish in time.

    It is only a warning: the files worked where the model was published, or when it was installed.
    """
    seconds, used = round(error.seconds), round(error.processor_seconds)
    facts = {
        "version": model.version, "origin": _origin(model), "tried": True, "unfinished": True,
        "seconds": seconds, "processor_seconds": used,
    }  # fmt: skip
    said = f"Version {model.version}, {facts['origin']}: as published; not through with the sample after {seconds} s"
    if error.busy:
        said = f"{said}, in {used} of which it had the processor: other programs use it."
        return Finding(
            check, "warning", said, "ps aux --sort=-%cpu | head", "Close these, and look again.", facts
        )
    said = f"{said}: this computer is too slow to count while the stage moves."
    advice = "Pictures can be analysed with patience; the command shows how long one takes."
    if _in_use(model.magnification):
        advice += f" If it never ends: {command('models use')} {model.magnification} builtin"
    return Finding(check, "warning", said, f"{command('analyze')} {option('demo')}", advice, facts)


def _origin(model: registry.Model) -> str:
    return (
        "came with the program"
        if model.folder == registry.shipped().get(model.magnification)
        else "installed"
    )


def _whole_again() -> tuple[str, str]:
    """Return the command that restores the shipped models, with advice."""
    if os.environ.get("EDGELEUK_MODELS"):
        return (
            "unset EDGELEUK_MODELS",
            "The models that came with the program are then used, not those in that folder.",
        )
    package = Path(registry.__file__).parents[1]
    if (package / "_models").exists():
        return again("--force-reinstall", "--no-deps")
    return "git checkout -- models", f"In the folder of edgeleuk's source, {package.parent}."


def _in_use(magnification: str) -> bool:
    try:
        return registry.in_use(magnification) is not None
    except ModelError:
        return False


def _altered(version: updates.Version) -> Finding:
    name = f"{version.magnification} model {version.version}"
    instead = "; the one that came with the program is used instead" if version.in_use else ""
    facts = {"version": version.version, "in_use": version.in_use}
    remedy = f"{command('models remove')} {version.magnification} {version.version}"
    if version.in_use:
        remedy = f"{command('models use')} {version.magnification} builtin && {remedy}"
    said = f"The installed {name} is not as it was{instead}: {version.problem}"
    advice = f"Or install its archive again, which mends it: {command('models install')} FILE"
    return Finding(f"installed {name}", "warning", said, remedy, advice, facts)
