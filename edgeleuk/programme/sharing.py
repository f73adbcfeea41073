"""Files for second opinions, and the agreement of two opinions.

The file of one session has the fields with the pictures of their cells, the operator's labels and the trail
of the review. Who takes it reviews the cells without seeing the first review, and sends it back in a file of
the same kind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from edgeleuk.errors import InputError
from edgeleuk.programme import archive
from edgeleuk.review import Review
from edgeleuk.sessions import Entry
from edgeleuk.sessions.shared import FACTS, SharedSession
from edgeleuk.statistics.kappa import Kappa, kappa
from edgeleuk.system import file_io
from edgeleuk.types import UNCLASSIFIED

SUFFIX = ".edgeleuk-share.zip"
_SESSION = "session.json"
_WANTED = re.compile(r"session\.json|fields/[0-9]{6}\.record|refusals/[0-9]{6}\.record|views/[0-9]{1,9}\.jpg")


@dataclass(frozen=True, slots=True)
class _Facts:
    uuid: str
    kind: str
    started: str
    zone: str
    magnification: str
    source: str
    model_version: str
    target: int
    operator: str
    slide: str
    site: str
    device: str
    version: str
    second_of: str = ""
    finder_sha256: str = ""
    reader_sha256: str = ""
    manifest_sha256: str = ""
    ended: str | None = None
    reason: str | None = None
    profile: str | None = None
    um_per_px: float | None = None
    red_cells: float | None = None


@dataclass(frozen=True, slots=True)
class _Told:
    facts: _Facts
    marks: tuple[tuple[int, str, str], ...]
    trail: tuple[Entry, ...]


def pack(content: SharedSession) -> bytes:
    """Return the file of a session.

    The same content gives the same bytes.
    """
    told = {
        "facts": content.facts,
        "marks": content.marks,
        "trail": [asdict(entry) for entry in content.trail],
    }
    members = {_SESSION: json.dumps(told, sort_keys=True, separators=(",", ":")).encode()}
    members |= {f"fields/{place:06d}.record": each for place, each in enumerate(content.fields)}
    members |= {f"refusals/{place:06d}.record": each for place, each in enumerate(content.refusals)}
    members |= {f"views/{number}.jpg": each for number, each in content.views.items()}
    return archive.pack(members, archive.SHARE_SCHEMA)


def read(path: Path) -> SharedSession:
    """Read the file of a session.

    Raises:
        InputError: It cannot be read, is damaged, or was changed after it was written.
    """
    members = archive.read_members(path, _WANTED, archive.SHARE_SCHEMA)
    try:
        told = msgspec.convert(file_io.parse_json(members[_SESSION]), _Told)
        for time in (told.facts.started, told.facts.ended):
            if time is not None and datetime.fromisoformat(time).tzinfo is None:
                raise ValueError("a time has no zone")
    except (KeyError, ValueError, TypeError, msgspec.ValidationError) as error:
        raise InputError(
            f"{path} cannot be used: {error}. A newer edgeleuk may have written it: ask for it again."
        ) from error
    facts: dict[str, Any] = {name: getattr(told.facts, name) for name in FACTS}
    return SharedSession(
        facts,
        _of(members, "fields/"),
        {int(Path(name).stem): content for name, content in members.items() if name.startswith("views/")},
        _of(members, "refusals/"),
        told.marks,
        told.trail,
    )


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two reviews of the same cells."""

    both: Kappa
    """On the cells that both reviewers looked at."""
    all_cells: Kappa
    """On all cells, whoever looked at them: a label that nobody changed is the program's, on both sides."""
    different: tuple[tuple[int, str, str], ...]
    """Cells whose labels differ: number on the map, label of the first and of the second review."""


def agreement(first: Review, second: Review) -> Agreement:
    """Return the agreement of two reviews of the same cells."""
    common = sorted(first.cells.keys() & second.cells.keys())
    labels = {
        number: tuple(review.cells[number].label or UNCLASSIFIED for review in (first, second))
        for number in common
    }
    looked = [number for number in common if first.cells[number].looked_at and second.cells[number].looked_at]
    return Agreement(
        kappa((labels[number][0], labels[number][1]) for number in looked),
        kappa((one, other) for one, other in labels.values()),
        tuple((number, one, other) for number, (one, other) in labels.items() if one != other),
    )


def _of(members: Mapping[str, bytes], folder: str) -> tuple[bytes, ...]:
    return tuple(content for name, content in sorted(members.items()) if name.startswith(folder))
