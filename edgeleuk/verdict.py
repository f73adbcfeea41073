"""The verdict on a slide: one line that says what to do next, and the reasons behind it.

The first of these that holds:

- NOT USABLE, as no picture could be used, or most show too little detail for the model: what was read means nothing.
- LOOK AGAIN, as something is flagged, or what was not recognised is more like blasts than on healthy slides.
- NOT USABLE, as too many white cells were not recognised, or most pictures have a warning.
- TOO FEW CELLS.
- NOTHING FLAGGED, with what the program does not look for.

All reasons that hold are given, also those behind a graver one. Rules and texts stand in `data/rules.toml`, what healthy
slides look like to a reader in its model folder.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

from edgeleuk._text import escaped
from edgeleuk.differential import Differential
from edgeleuk.rules import Rules
from edgeleuk.types import WHITE_CELL, Place, Refusal, Tally

Code = Literal["not_usable", "look_again", "too_few_cells", "nothing_flagged"]

TITLES: Mapping[Code, str] = {
    "not_usable": "NOT USABLE",
    "look_again": "LOOK AGAIN",
    "too_few_cells": "TOO FEW CELLS",
    "nothing_flagged": "NOTHING FLAGGED",
}
STYLES: Mapping[Code, str] = {
    "not_usable": "bold white on red",
    "look_again": "bold black on yellow",
    "too_few_cells": "bold white on blue",
    "nothing_flagged": "bold black on green",
}
"""Rich styles that stand out on a light and on a dark terminal."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for a verdict."""

    code: str
    """Words joined by underscores. Reasons about blasts contain "blast"."""
    text: str
    """A short sentence or two: what was seen, and what to do."""
    cells: tuple[Place, ...] = ()
    """The white cells it is about, those to look at first come first."""
    detail: str = ""
    """The reasoning behind it; empty where the text says all."""
    named: str = ""
    """Where the first of the cells are, as a person calls the pictures."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the count of a slide allows to say. It never changes an exit code."""

    code: Code
    text: str
    """One sentence or two, without the title."""
    reasons: tuple[Reason, ...] = ()
    """All that speaks against the slide, the gravest first."""

    @property
    def title(self) -> str:
        """The code in capitals, as it is printed."""
        return TITLES[self.code]

    @property
    def line(self) -> str:
        """Title and text."""
        return f"{self.title}: {self.text}"

    @property
    def others(self) -> tuple[Reason, ...]:
        """The reasons that the line does not give."""
        return tuple(reason for reason in self.reasons if not self.text.startswith(reason.text))


NAMED = 3
"""Cells that the line names; all stand with the reason."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """What the verdict asks of a slide's pictures."""

    counted: int
    refused: Sequence[Refusal] = ()
    """Those left out because their quality or a fault did not allow to count them."""
    spoken: Mapping[str, str] = field(default_factory=dict)
    """What a person calls a picture, by its name; absent ones are called by their name."""

    def are_mostly(self, some: int) -> bool:
        """Whether `some` are more than half of those counted."""
        return 2 * some > self.counted


def reach(tally: Tally, result: Differential, pictures: Pictures, rules: Rules) -> Verdict:
    """Reach the verdict on a slide from its tally, its differential and its pictures."""
    foreign = [*_foreign(tally, pictures, rules)]
    flagged = [*_flagged(result, rules)]
    look = [*flagged, *_blast_like(tally, result, rules, any("blast" in each.code for each in flagged))]
    poor = [*_poor(tally, result, pictures, rules)]
    few = [*_too_few(tally, result, rules)] if pictures.counted or not foreign else []
    hints = tuple(_hints(tally, pictures, rules))
    reasons = tuple(_named(each, pictures, rules) for each in (*foreign, *look, *poor, *few, *hints))
    for code, own in (
        ("not_usable", foreign),
        ("look_again", look),
        ("not_usable", poor),
        ("too_few_cells", few),
    ):
        if own:
            first = next(each for each in reasons if each.code == own[0].code)
            return Verdict(cast(Code, code), f"{first.text} {first.named}".strip(), reasons)
    texts = rules.verdict.texts
    said = texts.nothing.format(n=result.n, of=result.white_cells, list=rules.verdict.not_looked_for)
    return Verdict("nothing_flagged", said, reasons)


def _named(reason: Reason, pictures: Pictures, rules: Rules) -> Reason:
    """The reason with the places of its first cells in words."""
    if not reason.cells:
        return reason
    texts, more = rules.verdict.texts, len(reason.cells) - NAMED
    named = cells_text(reason.cells[:NAMED], pictures.spoken)
    where = texts.more_cells.format(list=named, n=more) if more > 0 else texts.cells.format(list=named)
    return replace(reason, named=where)


def cells_text(cells: Sequence[Place], spoken: Mapping[str, str]) -> str:
    """Cells by picture and number: "a.jpg cell 4, 7; b.jpg cell 2"."""
    by_picture: dict[str, list[str]] = {}
    for place in cells:
        by_picture.setdefault(place.picture, []).append(str(place.number))
    each = (f"{spoken.get(name, name)} cell {', '.join(numbers)}" for name, numbers in by_picture.items())
    return "; ".join(each)


def told_apart(names: Iterable[str]) -> dict[str, str]:
    """Short names of pictures by their paths: the file's, with as many of its folders as tell it from the others."""
    short = dict.fromkeys(names, 1)
    while True:
        spoken = {name: escaped(Path(*Path(name).parts[-parts:]).as_posix()) for name, parts in short.items()}
        alike = Counter(spoken.values())
        longer = [
            name for name, text in spoken.items() if alike[text] > 1 and short[name] < len(Path(name).parts)
        ]
        if not longer:
            return spoken
        short |= {name: short[name] + 1 for name in longer}


def _foreign(tally: Tally, pictures: Pictures, rules: Rules) -> Iterator[Reason]:
    """Why the pictures are none that the model can read."""
    texts = rules.verdict.texts
    if not pictures.counted and pictures.refused:
        codes = Counter(each.code for each in pictures.refused if each.findings)
        reasons = ", ".join(f"{code} {n}" for code, n in codes.most_common())
        yield Reason("no_pictures", texts.no_pictures.format(reasons=reasons) if codes else texts.unreadable)
    for code, words in rules.verdict.foreign.items():
        if pictures.are_mostly(n := tally.findings.get(code, 0)):
            yield Reason(code, texts.foreign.format(n=n, of=pictures.counted, reason=words))


def _flagged(result: Differential, rules: Rules) -> Iterator[Reason]:
    """The flags, but for that of too few cells. The cells that the reader is surest of are not told apart."""
    for flag in result.flags:
        if flag.code != rules.adequacy.code:
            yield Reason(flag.code.lower(), flag.text, flag.places, flag.detail)


def _blast_like(tally: Tally, result: Differential, rules: Rules, told: bool) -> Iterator[Reason]:
    """More cells like blasts than on healthy slides; where blasts are `told` of, only for what was not recognised."""
    likeness, limits, texts = result.blast_likeness, rules.verdict, rules.verdict.texts
    cells = tuple(place for _, place in tally.most_blast_like)
    if likeness is None:
        if tally.not_recognised.cells:
            yield Reason("blast_like_unknown", texts.blast_like_unknown, cells)
        return
    most = likeness.doubted + (0.0 if told else tally.blast_like_read)
    if likeness.sum < likeness.limit or most < limits.likeness_least:
        return
    detail = texts.blast_like_detail.format(
        sum=f"{likeness.sum:.1f}",
        percent=f"{100 * limits.likeness_p_value:g}",
        cells=likeness.cells,
        limit=f"{likeness.limit:.1f}",
    )
    yield Reason("blast_like", texts.blast_like, cells, detail)


def _poor(tally: Tally, result: Differential, pictures: Pictures, rules: Rules) -> Iterator[Reason]:
    """Why most of the slide was not read, or not read well."""
    texts = rules.verdict.texts
    if not result.supported:
        said = texts.not_recognised.format(
            n=result.not_recognised + result.unread, of=result.white_cells + result.unread
        )
        yield Reason("not_recognised", said)
    if pictures.are_mostly(n := tally.doubtful_pictures):
        yield Reason("doubtful_pictures", texts.doubtful.format(n=n, of=pictures.counted))


def _hints(tally: Tally, pictures: Pictures, rules: Rules) -> Iterator[Reason]:
    """What most pictures may have been taken wrongly by; it decides nothing."""
    for code in rules.verdict.hints:
        if pictures.are_mostly(n := tally.findings.get(code, 0)):
            yield Reason(code, rules.verdict.texts.hint.format(n=n, of=pictures.counted))


def _too_few(tally: Tally, result: Differential, rules: Rules) -> Iterator[Reason]:
    texts, wanted = rules.verdict.texts, rules.adequacy.cells
    if not tally.kinds.get(WHITE_CELL, 0) and not tally.white:
        yield Reason("no_white_cells", texts.no_cells)
    elif result.n < wanted and (result.supported or result.white_cells < wanted):
        cells = "1 white cell" if result.n == 1 else f"{result.n} white cells"
        yield Reason("too_few_cells", texts.too_few.format(cells=cells, more=math.ceil(wanted - result.n)))


def as_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain values for JSON."""
    return {
        "code": verdict.code,
        "text": verdict.text,
        "reasons": [
            {
                "code": reason.code,
                "text": reason.text,
                "detail": reason.detail,
                "cells": [{"picture": place.picture, "number": place.number} for place in reason.cells],
            }
            for reason in verdict.reasons
        ],
    }
