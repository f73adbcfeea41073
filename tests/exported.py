"""Exported sessions of many machines, without running networks.

One session is made by the store's own API and exported; the others are that one with other facts and counts.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from reviewed import NORMAL, keep, kept, reading, store_at
from standard import REFERENCE, RULES

from edgeleuk.programme import archive, export
from edgeleuk.programme.documents import ControlDocument, SlideDocument, encode
from edgeleuk.quality_control.control import ControlRun
from edgeleuk.quality_control.log import Entry
from edgeleuk.review import OpenReview

BEGIN = datetime(2026, 1, 5, 8, tzinfo=UTC)


@cache
def template() -> SlideDocument:
    """The document of a session of a hundred cells."""
    with tempfile.TemporaryDirectory() as folder, store_at(Path(folder)) as store:
        session = keep(store, [reading(label) for label in NORMAL])
        found = kept(store, session)
        review = OpenReview(store, found, RULES, REFERENCE).review()
        return export.slide_document(found, review, store.uuid, store.get(session).history())


def uuid_of(*names: object) -> str:
    return str(uuid5(NAMESPACE_OID, " ".join(map(str, names))))


def fingerprints(*names: object, count: int = 3) -> str:
    """As many fingerprints, sorted and joined."""
    made = (hashlib.sha256(f"{names} {place}".encode()).hexdigest()[:16] for place in range(count))
    return "".join(sorted(made))


def slide(
    number: int,
    site: str = "north",
    device: str = "bench-1",
    store: str = "",
    started: datetime | None = None,
    **row: Any,
) -> SlideDocument:
    """The session of this number on a machine; `row` replaces columns of its row."""
    store = store or uuid_of(site, device)
    begin = started or BEGIN + timedelta(hours=5 * number)
    end = (begin + timedelta(minutes=10)).isoformat(timespec="milliseconds")
    uuid = uuid_of(store, site, device, number, begin)
    facts = {
        "site": site, "device": device, "slide": f"{site}-{number}", "session": uuid,
        "started": begin.isoformat(timespec="milliseconds"), "ended": end,
    }  # fmt: skip
    return replace(
        template(), uuid=uuid, store=store, sequence=number, id=f"{begin:%Y%m%d-%H%M%S}-aa", last=end,
        history=fingerprints(uuid), row=template().row | facts | row,
    )  # fmt: skip


def run(site: str, number: int, outcome: str, device: str = "bench-1") -> ControlDocument:
    """The run of a control slide."""
    at = (BEGIN + timedelta(days=number)).isoformat(timespec="milliseconds")
    entry = Entry(number, at, "morning", "run", ControlRun("", outcome, 200))  # type: ignore[arg-type]
    return export.control_document(entry, uuid_of(site, device), site, device)


def packed(slides: Iterable[SlideDocument], controls: Iterable[ControlDocument] = ()) -> bytes:
    """An archive of them, without their tables."""
    members = {f"{archive.SLIDES}/{each.uuid}/{archive.SLIDE}": encode(each) for each in slides}
    members |= {f"{archive.CONTROLS}/{each.store}/{each.number:06d}.json": encode(each) for each in controls}
    return archive.pack(members)


@dataclass(frozen=True, slots=True)
class Exports:
    """Archives of simulated sites, and how many sessions they have together."""

    archives: tuple[bytes, ...]
    sessions: int


DRIFTED, WRONG, CLONED, FAILING = "site 07", "site 12", "site 20", "site 33"
"""Sites with a lamp that drifts, another objective on some slides, a cloned card, and a control slide that fails."""


def programme(sites: int = 50, slides: int = 200, seed: int = 1) -> Exports:
    """Exports of a programme whose sites differ by more than chance, some of them with a fault.

    The archive of the first site is there twice; the cloned card counted on in two machines with the same clock.
    """
    rng = random.Random(seed)  # no secret
    archives: list[bytes] = []
    sessions = 0
    for place in range(sites):
        name = f"site {place:02d}"
        own = rng.gauss(0.10, 0.012)
        made = [_slide(rng, name, number, slides, own) for number in range(1, slides + 1)]
        if name == CLONED:
            half = slides // 2
            clone = [
                _slide(rng, name, number, slides, own, seconds=7) for number in range(half + 1, slides + 1)
            ]
            archives.append(packed([*made[:half], *clone]))
            sessions += len(clone)
        failing = name == FAILING
        runs = [run(name, day, "rejected" if failing and day > 7 else "in_control") for day in range(1, 9)]
        archives.append(packed(made, runs))
        sessions += len(made)
    archives.append(archives[0])
    return Exports(tuple(archives), sessions)


def _slide(
    rng: random.Random, site: str, number: int, of: int, own: float, seconds: int = 0
) -> SlideDocument:
    """A slide whose share of cells that were not recognised varies more than by chance."""
    share = max(0.01, rng.gauss(own, 0.02))
    if site == DRIFTED:  # the lamp fails from the middle on
        share += 0.35 * max(0.0, number / of - 0.5)
    white = rng.randint(180, 240)
    not_recognised = sum(rng.random() < share for _ in range(white))
    pictures = rng.randint(18, 24)
    scale = 0.2 * rng.gauss(1, 0.02) * (2.5 if site == WRONG and number % 50 == 0 else 1)
    return slide(
        number, site, started=BEGIN + timedelta(hours=5 * number, seconds=seconds),
        white_cells=white, not_recognised=not_recognised, recognised=white - not_recognised, pictures=pictures,
        pictures_refused=sum(rng.random() < 0.05 for _ in range(pictures)), um_per_px=round(scale, 5),
        verdict=rng.choice(("nothing_flagged", "nothing_flagged", "look_again", "too_few_cells")),
    )  # fmt: skip


def written(folder: Path, archives: Sequence[bytes]) -> list[Path]:
    """The archives as files."""
    paths = [folder / f"{number:03d}.edgeleuk.zip" for number in range(len(archives))]
    for path, content in zip(paths, archives, strict=True):
        path.write_bytes(content)
    return paths
