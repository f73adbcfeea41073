"""Gathering of a report's data from a result and its review."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from edgeleuk.differential.differential import Differential
from edgeleuk.differential.rules import Range, Reference, Rules
from edgeleuk.differential.verdict import Verdict, cells_text, told_apart
from edgeleuk.reports.report import (
    Amendment,
    FlaggedCell,
    PictureRow,
    Remark,
    Report,
    ScaleRow,
    Standing,
    Statement,
    Status,
    TypeRow,
)
from edgeleuk.results.slide_result import SlideResult
from edgeleuk.review import Review, ReviewedCell
from edgeleuk.statistics.intervals import PerHundred
from edgeleuk.types import PLATELET, RED_CELL, UNCLASSIFIED, WHITE_CELL, Field, Place, Reading

MOST_CELLS = 48
"""Maximum number of cells with pictures.

They fill two pages.
"""
NAMED = 6
"""Number of cells that a reason names; the pictures follow anyway."""
ENDS = ("PRESENT", "SUSPECT", "POSSIBLE", "HIGH", "LOW")
"""Endings of a flag's code behind its rule's."""
CLUMP, GIANT = "platelet_clump", "giant_platelet"

Spot = tuple[str, int]
"""Name of a picture, and number of a white cell in it."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a report states beside the result."""

    session: str = ""
    second_of: str = ""
    """Session that this one is a second opinion on."""
    review: Review | None = None
    remarks: tuple[Remark, ...] = ()
    lost: tuple[str, ...] = ()
    images: Mapping[Spot, bytes] = field(default_factory=dict)
    """JPEG of cells, `IMAGE_UM` wide, by picture and number."""


def wanted(result: SlideResult, review: Review | None = None) -> tuple[Place, ...]:
    """Return the cells of which a report shows pictures.

    Those that the verdict's reasons name, the gravest first; then those that the program's own verdict named
    before the review. At most MOST_CELLS.
    """
    return tuple(place for place, _ in _to_look_at(result, review)[:MOST_CELLS])


def gather(result: SlideResult, rules: Rules, reference: Reference, context: Context | None = None) -> Report:
    """Gather a report.

    Args:
        result: Result that counts; a person's changes are in it.
        rules: Rules of the differential.
        reference: Reference ranges, shown where the result used them.
        context: Session, review, notes and pictures; None for a result alone.
    """
    context = context or Context()
    review, found = context.review, result.differential
    standing = _standing(review, len(_white(result)))
    own = review.program if review and standing.is_reviewed else None
    names = told_apart(each.field.name for each in result.counted)
    return Report(
        about=result.about,
        session=context.session,
        second_of=context.second_of,
        standing=standing,
        verdict=result.verdict,
        statements=tuple(_statements(result, names)),
        differential=found,
        rows=tuple(_rows(found, own.differential if own else None, rules, reference)),
        program=own.differential if own else None,
        program_verdict=own.verdict if own else None,
        outside=_outside(found),
        program_outside=_outside(own.differential) if own else {},
        per_100=_per_100(found),
        ranges=found.reference == reference.name,
        estimates=result.estimates,
        pictures=tuple(_pictures(result, names)),
        scales=tuple(_scales(result)),
        area_mm2=result.area_mm2,
        seen_again=_seen_again(result),
        copies=len({each.number for each in result.overlaps if each.kind == "copy"}),
        refused=result.not_counted,
        left_out=result.left_out,
        flagged=tuple(_flagged(result, review, context.images, names)),
        flagged_in_all=len(_to_look_at(result, review)),
        clumps=found.outside.get(CLUMP),
        giant_platelets=found.outside.get(GIANT),
        not_looked_for=rules.verdict.not_looked_for,
        remarks=context.remarks,
        lost=context.lost,
    )


def _to_look_at(result: SlideResult, review: Review | None) -> list[tuple[Place, tuple[str, ...]]]:
    now = _named(result.verdict)
    spots = {(place.picture, place.number) for place, _ in now}
    before = _named(review.program.verdict) if review else []
    return now + [each for each in before if (each[0].picture, each[0].number) not in spots]


def _named(verdict: Verdict) -> list[tuple[Place, tuple[str, ...]]]:
    """Return the cells of all reasons, each once, with their codes."""
    codes: dict[Spot, list[str]] = {}
    places: dict[Spot, Place] = {}
    for reason in verdict.reasons:
        for place in reason.cells:
            spot = (place.picture, place.number)
            places.setdefault(spot, place)
            codes.setdefault(spot, []).append(reason.code)
    return [(place, tuple(dict.fromkeys(codes[spot]))) for spot, place in places.items()]


def _standing(review: Review | None, cells: int) -> Standing:
    """Return the state of the report.

    A revision that was opened after a signature and is not signed yet is preliminary: it must not replace
    what was signed.
    """
    if review is None:
        return Standing(cells=cells)
    signature = review.signature
    status: Status = review.state if signature else "preliminary"
    earlier = tuple(each for each in review.revisions if each is not signature)
    return Standing(
        status=status,
        revision=review.revision,
        reviewed=review.reviewed,
        cells=len(review.cells),
        reviewers=tuple(dict.fromkeys(entry.who for entry in review.trail)),
        signed_by=signature.by if signature else "",
        signed_at=signature.at if signature else "",
        changed=len(review.changed),
        added=review.added_counts,
        earlier=tuple((each.number, each.by, each.at) for each in earlier),
        amendments=tuple(Amendment(each.revision, each.who, each.at, each.why) for each in review.amendments),
        faults=review.faults,
    )


def _white(result: SlideResult) -> list[Reading | None]:
    return [cell.reading for each in result.fields for cell in each.of(WHITE_CELL)]


def _statements(result: SlideResult, names: Mapping[str, str]) -> Iterator[Statement]:
    severities = {flag.code.lower(): flag.severity for flag in result.differential.flags}
    others = result.verdict.others
    for reason in result.verdict.reasons:
        where, more = cells_text(reason.cells[:NAMED], names), len(reason.cells) - NAMED
        if more > 0:
            where += f" and {more} more"
        severity = severities.get(reason.code)
        yield Statement(reason.code, reason.text, where, severity, reason not in others)


def _rows(
    found: Differential, own: Differential | None, rules: Rules, reference: Reference
) -> Iterator[TypeRow]:
    ranges = _ranges(found, reference)
    flags = _flags(found, rules, reference)
    for label, share in found.types.items():
        stated = found.supported
        bounds = found.bounds.get(label) if stated else None
        program = None
        if own is not None:
            before = own.types.get(label)
            percent = before.percent if before and own.supported else None
            program = (before.count if before else 0, percent)
        yield TypeRow(
            label=label,
            count=share.count,
            of=share.of if stated else None,
            percent=share.percent if stated and (share.count or bounds) else None,
            bounds=bounds,
            range=ranges.get(label) if stated else None,
            flags=flags.get(label, ()),
            program=program,
            level=found.subtypes.get(label),
        )


def _ranges(found: Differential, reference: Reference) -> dict[str, Range]:
    """Return the reference range of each type that has one to itself.

    A range of several types that the reader tells apart belongs to none of them.
    """
    if found.reference != reference.name:
        return {}
    known = [({*each.labels} & found.types.keys(), each) for each in reference.ranges]
    return {label: each for labels, each in known if len(labels) == 1 for label in labels}


def _flags(found: Differential, rules: Rules, reference: Reference) -> dict[str, tuple[str, ...]]:
    """Return the codes of the flags that concern each type."""
    concerned: dict[str, list[str]] = {}
    bases = [(each.code, rules.group(each.group).labels) for each in rules.presence.rules]
    bases += [(each.code, rules.group(each.group).labels) for each in rules.threshold.rules]
    bases += [(each.code, each.labels) for each in reference.ranges]
    for flag in found.flags:
        for code, labels in bases:
            if flag.code in (code, *(f"{code}_{end}" for end in ENDS)):
                for label in labels:
                    concerned.setdefault(label, []).append(flag.code)
    return {label: tuple(dict.fromkeys(codes)) for label, codes in concerned.items()}


def _outside(found: Differential) -> dict[str, int]:
    return {label: count for label, count in found.outside.items() if label != UNCLASSIFIED}


def _per_100(found: Differential) -> dict[str, PerHundred]:
    return dict(found.per_100) if found.supported and found.n else {}


def _pictures(result: SlideResult, names: Mapping[str, str]) -> Iterator[PictureRow]:
    for each in result.counted:
        field = each.field
        counts = Counter(cell.kind for cell in field.cells)
        red, platelets = (
            None if kind in field.not_counted else counts[kind] for kind in (RED_CELL, PLATELET)
        )
        assessment = field.assessment
        yield PictureRow(
            name=names[field.name],
            verdict=assessment.verdict,
            forced=assessment.forced,
            codes=tuple(finding.code for finding in assessment.findings),
            texts=tuple(finding.text for finding in assessment.findings),
            um_per_px=field.scale.um_per_px,
            white=counts[WHITE_CELL],
            red=red,
            platelets=platelets,
        )


def _scales(result: SlideResult) -> Iterator[ScaleRow]:
    for scale, pictures in Counter(each.field.scale for each in result.counted).items():
        yield ScaleRow(
            scale.um_per_px_x,
            scale.um_per_px_y,
            scale.source,
            scale.relative_error,
            scale.red_cells,
            pictures,
        )


def _seen_again(result: SlideResult) -> tuple[int, int, int]:
    again: Counter[str] = Counter()
    for each in result.counted:
        cells = zip(each.field.cells, each.identities, strict=True)
        again.update(cell.kind for cell, identity in cells if identity not in each.fresh)
    return again[WHITE_CELL], again[RED_CELL], again[PLATELET]


def _flagged(
    result: SlideResult, review: Review | None, images: Mapping[Spot, bytes], names: Mapping[str, str]
) -> Iterator[FlaggedCell]:
    readings = _readings(result.fields)
    reviewed = {(cell.name, cell.number): cell for cell in review.cells.values()} if review else {}
    for place, codes in _to_look_at(result, review)[:MOST_CELLS]:
        spot = (place.picture, place.number)
        name = names.get(place.picture, place.picture)
        yield _flagged_cell(
            name, place.number, readings.get(spot), reviewed.get(spot), codes, images.get(spot)
        )


def _flagged_cell(
    name: str,
    number: int,
    reading: Reading | None,
    cell: ReviewedCell | None,
    codes: tuple[str, ...],
    image: bytes | None,
) -> FlaggedCell:
    label = cell.label if cell else reading.label if reading else None
    own = cell.reading if cell else reading
    by_person = cell is not None and bool(cell.person or cell.mark)
    likeliest = None
    if label == UNCLASSIFIED and reading and reading.probabilities and not by_person:
        likeliest = max(reading.probabilities, key=lambda each: reading.probabilities[each])
    return FlaggedCell(
        picture=name,
        number=number,
        label=label,
        probability=None if by_person or own is None else own.probability,
        likeliest=likeliest,
        program=cell.program if cell and cell.program != label else None,
        codes=codes,
        image=image,
    )


def _readings(fields: Iterable[Field]) -> dict[Spot, Reading]:
    return {
        (field.name, cell.number): cell.reading
        for field in fields
        for cell in field.cells
        if cell.number and cell.reading
    }
