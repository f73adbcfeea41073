"""Rules for sessions of many machines that contradict each other.

| kind | what was found | what counts |
|---|---|---|
| diverged | two states of a session, neither of which has all of the other | the one with more signed revisions, then more history, then the later end |
| duplicate | the same fields under several UUIDs, as of a card copied before it was upgraded | the session with the smallest UUID |
| cloned | two sessions with one number in one file: a cloned card, or a backup that was put back | both |
| same_device | two files of sessions of one site and device that were used at the same time | both |
| clock | a session that began before the one counted before it, or whose fields run backwards | it, with the time that its clock showed |
| unnamed | sessions without site or device | they, under no name |

Everything is derived from the set of states: the order of merging does not matter.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import combinations
from typing import Literal

from edgeleuk.programme.documents import SlideDocument
from edgeleuk.system.wording import command, option

Kind = Literal["diverged", "duplicate", "cloned", "same_device", "clock", "unnamed"]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Sessions that contradict each other, and what was decided."""

    kind: Kind
    text: str
    """What was found and what counts, in a sentence or two."""
    sessions: tuple[str, ...]
    """UUIDs of the sessions concerned."""


@dataclass(frozen=True, slots=True)
class Slides:
    """Sessions that count, and the conflicts among all."""

    counted: tuple[SlideDocument, ...]
    """By site, device, file and number; without their histories and trails."""
    conflicts: tuple[Conflict, ...]
    second: Mapping[str, tuple[SlideDocument, ...]] = field(default_factory=dict)
    """Second opinions by the UUID of the session that they are on."""


def resolve(states: Iterable[tuple[str, SlideDocument]]) -> Slides:
    """Decide which sessions count.

    `states`: hash and document of every state, in the order of their UUIDs.
    """
    conflicts: list[Conflict] = []
    chosen = []
    second: defaultdict[str, tuple[SlideDocument, ...]] = defaultdict(tuple)
    for each in _latest(states, conflicts):
        if each.second_of:
            second[each.second_of] += (each,)
        else:
            chosen.append(each)
    chosen = _without_duplicates(chosen, conflicts)
    chosen.sort(key=lambda each: (each.row["site"], each.row["device"], each.store, each.sequence, each.uuid))
    conflicts += [*_cloned(chosen), *_same_device(chosen), *_clocks(chosen), *_unnamed(chosen)]
    return Slides(tuple(chosen), tuple(conflicts), dict(second))


def codes(conflicts: Iterable[Conflict]) -> dict[str, str]:
    """Return the kinds of conflicts of each session, joined by spaces."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for each in conflicts:
        for uuid in each.sessions:
            found[uuid].add(each.kind)
    return {uuid: " ".join(sorted(kinds)) for uuid, kinds in found.items()}


def _latest(
    states: Iterable[tuple[str, SlideDocument]], conflicts: list[Conflict]
) -> Iterator[SlideDocument]:
    """Yield the state that counts of each session."""
    rivals: list[tuple[str, SlideDocument]] = []
    for digest, document in states:
        if rivals and rivals[0][1].uuid != document.uuid:
            yield _winner(rivals, conflicts)
            rivals = []
        rivals.append((digest, document))
    if rivals:
        yield _winner(rivals, conflicts)


def _winner(rivals: Sequence[tuple[str, SlideDocument]], conflicts: list[Conflict]) -> SlideDocument:
    _, best = max(
        rivals, key=lambda each: (each[1].signed, len(each[1].history), each[1].row["ended"] or "", each[0])
    )
    if len(rivals) > 1:
        text = (
            f"session {_named(best)} has {len(rivals)} states that went different ways, as after a card was copied."
            f" The one with {best.signed} signed revision{'s' * (best.signed != 1)} and the longer history counts. If another one is"
            " right, sign or amend it on its machine until it has more signed revisions, then export it again."
        )
        conflicts.append(Conflict("diverged", text, (best.uuid,)))
    return _light(best)


def _light(document: SlideDocument) -> SlideDocument:
    """Return a document without its trail.

    Its history is there as a hash, since thousands of documents are held.
    """
    review = {name: document.review.get(name) for name in ("state", "revision", "signed")}
    review["revisions"] = [
        {name: each.get(name) for name in ("number", "by", "at")}
        for each in document.review.get("revisions", ())
    ]
    history = hashlib.sha256(document.history.encode()).hexdigest() if document.history else ""
    return replace(document, review=review, history=history)


def _without_duplicates(documents: Sequence[SlideDocument], conflicts: list[Conflict]) -> list[SlideDocument]:
    """Return the documents without the same fields under other UUIDs."""
    first: dict[str, SlideDocument] = {}
    further: defaultdict[str, list[str]] = defaultdict(list)
    kept = []
    for each in documents:  # in the order of their UUIDs
        if each.history and each.row["pictures"] and each.history in first:
            further[each.history].append(each.uuid)
            continue
        first[each.history] = each
        kept.append(each)
    for history, uuids in further.items():
        one = first[history]
        text = (
            f"session {_named(one)} is there {len(uuids) + 1} times with the same fields, as of a card that was copied"
            " before it was upgraded. It counts once."
        )
        conflicts.append(Conflict("duplicate", text, (one.uuid, *uuids)))
    return kept


def _cloned(documents: Sequence[SlideDocument]) -> Iterator[Conflict]:
    by_store: defaultdict[str, defaultdict[int, list[SlideDocument]]] = defaultdict(lambda: defaultdict(list))
    for each in documents:
        if each.store and each.sequence:
            by_store[each.store][each.sequence].append(each)
    for numbers in by_store.values():
        twice = [each for found in numbers.values() if len(found) > 1 for each in found]
        if twice:
            text = (
                f"{len(twice)} sessions of {_device(twice[0])} have numbers that were given twice, from session"
                f" {min(each.sequence for each in twice)} on: its card was copied, or a backup was put back, and both copies"
                f" counted on. All count. Name one of the machines anew: {command('site')} {option('device')} NAME."
            )
            yield Conflict("cloned", text, tuple(sorted(each.uuid for each in twice)))


def _same_device(documents: Sequence[SlideDocument]) -> Iterator[Conflict]:
    stores: defaultdict[tuple[str, str], defaultdict[str, list[SlideDocument]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for each in documents:
        if each.row["site"] and each.row["device"]:
            stores[each.row["site"], each.row["device"]][each.store].append(each)
    for files in stores.values():
        at_once: set[str] = set()
        for one, other in combinations(files.values(), 2):
            begin = max(min(each.started for each in found) for found in (one, other))
            end = min(max(_end(each) for each in found) for found in (one, other))
            at_once |= {
                each.uuid for each in (*one, *other) if begin <= end and begin <= _end(each) and each.started <= end
            }  # fmt: skip
        if at_once:
            some = next(iter(files.values()))[0]
            text = (
                f"{_device(some)} is the name of {len(files)} machines that counted at the same time. All count. Name them"
                f" apart: {command('site')} {option('device')} NAME."
            )
            yield Conflict("same_device", text, tuple(sorted(at_once)))


def _clocks(documents: Sequence[SlideDocument]) -> Iterator[Conflict]:
    by_store: defaultdict[str, list[SlideDocument]] = defaultdict(list)
    for each in documents:
        by_store[each.store].append(each)
    for found in by_store.values():
        found.sort(key=lambda each: (each.sequence, each.uuid))
        back = [each for each in found if each.clock_set_back]
        latest: SlideDocument | None = None
        seen: set[int] = set()
        for each in found:
            if each.sequence in seen:
                break  # the card was cloned: the order of the two copies is not known from here on
            seen.add(each.sequence)
            if latest and each.sequence and each.started < latest.started:
                back.append(each)
            else:
                latest = each
        if back:
            text = (
                f"the clock of {_device(back[0])} was set back: {len(back)} session{'s' * (len(back) != 1)} began before earlier ones, or"
                " ran backwards. All count in the order of counting, with the times that the clock showed."
            )
            yield Conflict("clock", text, tuple(sorted({each.uuid for each in back})))


def _unnamed(documents: Sequence[SlideDocument]) -> Iterator[Conflict]:
    found = [each.uuid for each in documents if not (each.row["site"] and each.row["device"])]
    if found:
        text = (
            f"{len(found)} {'session says' if len(found) == 1 else 'sessions say'} no site or no device. On their machine: {command('site')}"
            f" {option('site')} NAME {option('device')} NAME {option('fill')}, then export again."
        )
        yield Conflict("unnamed", text, tuple(sorted(found)))


def _end(document: SlideDocument) -> datetime:
    return max(document.started, datetime.fromisoformat(document.last))


def _device(document: SlideDocument) -> str:
    return f"{document.row['site'] or 'no site'}, {document.row['device'] or 'no device'}"


def _named(document: SlideDocument) -> str:
    return f"{document.id} of {_device(document)}"
