"""Examination of the machine, in the order of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edgeleuk.doctor import cameras, clock, machine, models, power, storage
from edgeleuk.doctor.findings import Finding, Report, nameless

Telling = Callable[[str], None]


def examine(*, quick: bool = False, telling: Telling = lambda _: None) -> Report:
    """Run all checks of this machine.

    Args:
        quick: Run no network and start no camera.
        telling: Called with a message before each slow step.
    """
    return Report([nameless(finding) for finding in _findings(quick, telling)])


def _findings(quick: bool, telling: Telling) -> Iterator[Finding]:
    yield machine.processor()
    yield machine.memory()
    yield machine.python()
    yield machine.libraries()
    yield machine.extras()
    yield from models.models(at_work=not quick, telling=telling)
    if quick:
        yield from cameras.cameras(opened=None)
    else:
        yield from cameras.cameras(telling=telling)
    yield cameras.groups()
    finding, newest = storage.sessions()
    yield finding
    telling("writing to the disk")
    yield from storage.disk()
    yield clock.clock(newest)
    yield from power.power()
