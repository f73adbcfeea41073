"""All that the doctor looks at, in the order in which it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edgeleuk.doctor import cameras, clock, machine, models, power, storage
from edgeleuk.doctor.findings import Finding, Report, nameless

Telling = Callable[[str], None]


def examine(*, quick: bool = False, telling: Telling = lambda _: None) -> Report:
    """Look at this machine. `quick` runs no network and starts no camera; `telling` hears what takes long."""
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
