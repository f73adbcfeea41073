"""Verdict on a slide: what to do next, with reasons.

It is one line. The first of these that holds:

- NOT USABLE, as no picture could be used, or most show too little detail for the model: readings are
  meaningless.
- LOOK AGAIN, as something is flagged, or unrecognised cells are more like blasts than on healthy slides.
- NOT USABLE, as too many white cells were not recognised, or most pictures have a warning.
- LOOK AGAIN, as much that was found was read as no white cell, or the white cells look unlike those of any
  laboratory that the reader learnt.
- TOO FEW CELLS.
- NOTHING FLAGGED, with what the program does not look for.

All reasons that hold are given, also those behind a graver one. Rules and texts are in `data/rules.toml`, a
reader's results on healthy slides in its model folder.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

from edgeleuk._text import escaped
from edgeleuk.differential.differential import Differential, enough_recognised
from edgeleuk.differential.rules import Rules
from edgeleuk.statistics.intervals import clopper_pearson
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
"""Rich styles for light and dark terminals."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for a verdict."""

    code: str
    """Words joined by underscores.

    Reasons about blasts contain "blast".
    """
    text: str
    """Finding and remedy, in a short sentence or two."""
    cells: tuple[Place, ...] = ()
    """White cells concerned, most relevant first."""
    detail: str = ""
    """Explanation; empty where the text says all."""
    named: str = ""
    """Display text of where the first of the cells are."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Verdict on a slide.

    It never changes an exit code.
    """

    code: Code
    text: str
    """One sentence or two, without the title."""
    reasons: tuple[Reason, ...] = ()
    """All reasons, the gravest first."""

    @property
    def title(self) -> str:
        """Printed title of the code, in capitals."""
        return TITLES[self.code]

    @property
    def line(self) -> str:
        """Title and text."""
        return f"{self.title}: {self.text}"

    @property
    def others(self) -> tuple[Reason, ...]:
        """Reasons that the line does not give."""
        return tuple(reason for reason in self.reasons if not self.text.startswith(reason.text))


NAMED = 3
"""Number of cells that the line names.

All stand with the reason.
"""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Counts and refusals of a slide's pictures."""

    counted: int
    refused: Sequence[Refusal] = ()
    """Pictures left out because of their quality or a fault."""
    spoken: Mapping[str, str] = field(default_factory=dict)
    """Display names of pictures, by name.

    Absent ones are shown by their name.
    """

    def are_mostly(self, some: int) -> bool:
        """Return whether `some` are more than half of those counted."""
        return 2 * some > self.counted


def reach(
    tally: Tally,
    result: Differential,
    pictures: Pictures,
    rules: Rules,
    further: Sequence[Reason] = (),
) -> Verdict:
    """Determine the verdict on a slide.

    Args:
        tally: Counts of the slide.
        result: Differential of the slide.
        pictures: Counts and refusals of its pictures.
        rules: Rules and texts.
        further: Reasons to look again that the differential does not know, as of cells added by hand.
    """
    foreign = [*_foreign(tally, pictures, rules)]
    flagged = [*_flagged(result, rules)]
    look = [
        *flagged,
        *_blast_like(tally, result, rules, any("blast" in each.code for each in flagged)),
        *further,
    ]
    poor = [*_poor(tally, result, pictures, rules)]
    doubted = [*_dismissed(tally, result, rules), *_unfamiliar(result, rules)]
    few = [*_too_few(tally, result, rules)] if pictures.counted or not foreign else []
    hints = tuple(_hints(tally, pictures, rules))
    reasons = tuple(
        _named(each, pictures, rules) for each in (*foreign, *look, *poor, *doubted, *few, *hints)
    )
    for code, own in (
        ("not_usable", foreign),
        ("look_again", look),
        ("not_usable", poor),
        ("look_again", doubted),
        ("too_few_cells", few),
    ):
        if own:
            first = next(each for each in reasons if each.code == own[0].code)
            return Verdict(cast(Code, code), f"{first.text} {first.named}".strip(), reasons)
    texts = rules.verdict.texts
    said = texts.nothing.format(n=result.n, of=result.white_cells, list=rules.verdict.not_looked_for)
    return Verdict("nothing_flagged", said, reasons)


def _named(reason: Reason, pictures: Pictures, rules: Rules) -> Reason:
    """Add the locations of a reason's first cells as text."""
    if not reason.cells:
        return reason
    texts, more = rules.verdict.texts, len(reason.cells) - NAMED
    named = cells_text(reason.cells[:NAMED], pictures.spoken)
    where = texts.more_cells.format(list=named, n=more) if more > 0 else texts.cells.format(list=named)
    return replace(reason, named=where)


def cells_text(cells: Sequence[Place], spoken: Mapping[str, str]) -> str:
    """Format cells by picture and number.

    For example "a.jpg cell 4, 7; b.jpg cell 2".
    """
    by_picture: dict[str, list[str]] = {}
    for place in cells:
        by_picture.setdefault(place.picture, []).append(str(place.number))
    each = (f"{spoken.get(name, name)} cell {', '.join(numbers)}" for name, numbers in by_picture.items())
    return "; ".join(each)


def told_apart(names: Iterable[str]) -> dict[str, str]:
    """Return short unique display names of picture paths.

    The file's name, with as many of its folders as distinguish it from the others.
    """
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
    """Return why the model cannot read the pictures."""
    texts = rules.verdict.texts
    if not pictures.counted and pictures.refused:
        codes = Counter(each.code for each in pictures.refused if each.findings)
        reasons = ", ".join(f"{code} {n}" for code, n in codes.most_common())
        yield Reason("no_pictures", texts.no_pictures.format(reasons=reasons) if codes else texts.unreadable)
    for code, words in rules.verdict.foreign.items():
        if pictures.are_mostly(n := tally.findings.get(code, 0)):
            yield Reason(code, texts.foreign.format(n=n, of=pictures.counted, reason=words))


def _flagged(result: Differential, rules: Rules) -> Iterator[Reason]:
    """Return a reason for each flag except too few cells.

    A flag's cells are not ordered by the reader's certainty.
    """
    for flag in result.flags:
        if flag.code != rules.adequacy.code:
            yield Reason(flag.code.lower(), flag.text, flag.places, flag.detail)


def _blast_like(tally: Tally, result: Differential, rules: Rules, told: bool) -> Iterator[Reason]:
    """Return a reason if more cells are blast-like than usual.

    Usual is what healthy slides show. If blasts are flagged already (`told`), only unrecognised cells are
    considered.
    """
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
    """Return why most of the slide was not read, or not well."""
    texts = rules.verdict.texts
    if not _enough_recognised(result, rules):
        said = texts.not_recognised.format(
            n=result.not_recognised + result.unread, of=result.white_cells + result.unread
        )
        yield Reason("not_recognised", said)
    if pictures.are_mostly(n := tally.doubtful_pictures):
        yield Reason("doubtful_pictures", texts.doubtful.format(n=n, of=pictures.counted))


def _dismissed(tally: Tally, result: Differential, rules: Rules) -> Iterator[Reason]:
    """Return a reason if many cells found were read as none.

    Such cells are in no percentage. The finder seldom errs so often: the reader may not know the white cells.
    """
    of = sum(tally.white.values())
    low, _ = clopper_pearson(result.dismissed, of)
    if 100 * low <= rules.verdict.dismissed_percent:
        return
    places = tuple(place for label in sorted(rules.dismissing) for place in tally.places.get(label, ()))
    yield Reason("dismissed", rules.verdict.texts.dismissed.format(n=result.dismissed, of=of), places)


def _unfamiliar(result: Differential, rules: Rules) -> Iterator[Reason]:
    """Return a reason if the slide is unfamiliar to the reader."""
    found, texts = result.familiarity, rules.verdict.texts
    if found is None or not found.is_foreign:
        return
    detail = texts.unfamiliar_detail.format(
        cells=found.cells, mean=f"{found.mean:.2f}", least=f"{found.least:.2f}"
    )
    if (right := found.accuracy_elsewhere) is not None:
        detail = f"{detail} {texts.unfamiliar_right.format(percent=f'{100 * right:.0f}')}"
    yield Reason("unfamiliar", texts.unfamiliar, detail=detail)


def _hints(tally: Tally, pictures: Pictures, rules: Rules) -> Iterator[Reason]:
    """Return probable mistakes in taking most pictures.

    They do not change the verdict.
    """
    for code in rules.verdict.hints:
        if pictures.are_mostly(n := tally.findings.get(code, 0)):
            yield Reason(code, rules.verdict.texts.hint.format(n=n, of=pictures.counted))


def _too_few(tally: Tally, result: Differential, rules: Rules) -> Iterator[Reason]:
    texts, wanted = rules.verdict.texts, rules.adequacy.cells
    if not tally.kinds.get(WHITE_CELL, 0) and not tally.white:
        yield Reason("no_white_cells", texts.no_cells)
    elif result.n < wanted and (_enough_recognised(result, rules) or result.white_cells < wanted):
        cells = "1 white cell" if result.n == 1 else f"{result.n} white cells"
        yield Reason("too_few_cells", texts.too_few.format(cells=cells, more=math.ceil(wanted - result.n)))


def _enough_recognised(result: Differential, rules: Rules) -> bool:
    return enough_recognised(result.n, result.not_recognised + result.unread, rules)


def as_json(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict as plain values for JSON."""
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
