"""What a signature covers, and whether it still holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import astuple
from typing import Any

from edgeleuk.counting.kept import Kept
from edgeleuk.differential.differential import all_values
from edgeleuk.results.slide_result import SlideResult
from edgeleuk.sessions import SessionSummary
from edgeleuk.sessions.facts import FACTS
from edgeleuk.sessions.trail import Entry
from edgeleuk.system import file_io


def identity(kept: Kept) -> str:
    """Return a hash of the program's result, SHA-256.

    Of the session, the model that counted it, its fields, and each white cell's place and reading.
    """
    result = kept.result
    fields = [[each.number, each.at, each.field.name] for each in result.counted]
    cells = []
    for number, cell in sorted(kept.cells.items()):
        reading = kept.own.get(number, cell.reading)
        read = [reading.label, reading.probability] if reading else None
        cells.append([number, cell.field, cell.number, list(cell.place[1]), read])
    return _sha256(
        [result.about.id, astuple(result.about.model), fields, sorted(result.marks.items()), cells]
    )


def numbers(result: SlideResult) -> str:
    """Return a hash of a result's differential and verdict, SHA-256."""
    return _sha256([all_values(result.differential), result.verdict.line])


def signed(
    kept: Kept, result: SlideResult, before: str, revision: int, added: Mapping[str, int], reviewed: int
) -> str:
    """Return what a signature covers, as JSON.

    Args:
        kept: The session with the program's result.
        result: The result with the persons' labels.
        before: Hash of the last entry of the trail; empty for none.
        revision: Number of the revision.
        added: Cells added by hand, by label.
        reviewed: Number of cells that a reviewer looked at.
    """
    content: dict[str, Any] = {
        "revision": revision,
        "trail": before,
        "result": identity(kept),
        "numbers": numbers(result),
        "facts": _facts(kept.summary),
        "model": kept.model.version,
        "verdict": result.verdict.line,
        "counts": dict(result.tally.white),
        "added": dict(added),
        "reviewed": reviewed,
        "white_cells": len(kept.cells),
    }
    return json.dumps(content | {"snapshot": _sha256(content)}, ensure_ascii=True)


def read(entry: Entry) -> dict[str, Any]:
    """Return what a signing entry says that it covers; empty if damaged."""
    try:
        document = file_io.parse_json(entry.signed)
    except file_io.UnreadableError:
        return {}
    return document if isinstance(document, dict) else {}


def disagreements(entry: Entry, before: str, kept: Kept, result: SlideResult | None) -> Iterator[str]:
    """Yield what does not agree with a signature, a sentence each.

    Args:
        entry: The signing entry.
        before: Hash of the entry before it; empty for none.
        kept: The session with the program's result.
        result: The result as signed, computed anew; None to leave its numbers out.
    """
    said = read(entry)
    which = f"revision {entry.revision}, signed by {entry.who} on {entry.at[:10]}"
    content = {name: value for name, value in said.items() if name != "snapshot"}
    if said.get("snapshot") != _sha256(content) or said.get("trail") != before:
        yield f"the signature of {which}, is not that of its trail: do not trust it."
        return
    if said["result"] != identity(kept):
        other = f" (model {said['model']} then, {kept.model.version} now)" * (
            said["model"] != kept.model.version
        )
        yield f"the program's result is not the one of {which}: the session or the model was changed{other}."
    elif result is not None and said["numbers"] != numbers(result):
        yield f"the figures are not those of {which}: the model or the rules were changed since."
    now = _facts(kept.summary)
    for name, was in said["facts"].items():
        if now.get(name) != was:
            yield f'{name} was "{was}" in {which}, and is "{now.get(name, "")}" now.'


def _facts(summary: SessionSummary) -> dict[str, str]:
    return {name: getattr(summary, name) for name in FACTS}


def _sha256(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
