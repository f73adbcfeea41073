"""Analysis of a slide on a terminal of 80 columns.

The verdict comes first, then the differential, then the details behind both.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edgeleuk.differential.differential import Differential, SecondLevel
from edgeleuk.differential.per_microlitre import Estimates
from edgeleuk.differential.verdict import STYLES, Verdict
from edgeleuk.models.manifest import ReaderManifest
from edgeleuk.models.registry import Model
from edgeleuk.render._words import Fitted, picture_word, short
from edgeleuk.render.colours import hexadecimal, of_label
from edgeleuk.render.leftout import left_out_lines
from edgeleuk.render.tables import RESEARCH_USE
from edgeleuk.results.slide_result import SlideResult
from edgeleuk.statistics.bounds import Bounds
from edgeleuk.statistics.correction import Estimate
from edgeleuk.statistics.intervals import Share
from edgeleuk.statistics.rounding import ceil, decimals, floor
from edgeleuk.types import (
    PLATELET,
    RED_CELL,
    UNCLASSIFIED,
    WHITE_CELL,
    Assessment,
    Cell,
    Field,
    Overlap,
    Reading,
    Scale,
    spoken,
)

WIDTH = 78
REASONS = 6
"""Number of reasons whose cells are named."""
COPIES = 6
"""Number of copies that are named."""
BAR = 18
"""Width of a proportion's bar, characters."""
UNMEASURED = "*"
"""Mark for corrected shares without measured reader errors."""


def analysis(result: SlideResult, model: Model, *, details: bool = False) -> RenderableType:
    """Return everything that `analyze` shows, the verdict first.

    Args:
        result: Result of the slide.
        model: Model that the slide was read with.
        details: Add a row per cell, attributes and the reasoning. A single picture always has its cells.
    """
    fields = [each.field for each in result.counted]
    parts: list[RenderableType] = [
        verdict_line(result.verdict),
        *reasons(result, details=details),
        together(fields, result.differential, model, details=details),
        *_estimated(result.estimates),
        *_overlaps(result),
        *_copies(fields, result.overlaps),
        *_quality(result, details),
        *left_out_lines(result.left_out),
    ]
    if details or len(fields) == 1:
        parts += [_picture(field, model.reader) for field in result.as_counted()]
    return Group(*parts, closing(result.differential))


def verdict_line(verdict: Verdict) -> Text:
    """Return the verdict with its title highlighted."""
    return Text.assemble((f" {verdict.title} ", STYLES[verdict.code]), f" {verdict.text}")


def reasons(result: SlideResult, *, details: bool = False) -> Iterator[Text]:
    """Yield reasons missing from the verdict's line.

    With `details`, the reasoning behind every reason too.
    """
    others = result.verdict.others
    for reason in result.verdict.reasons:
        if reason in others:
            where = f" {reason.named}" if reason.named and others.index(reason) < REASONS else ""
            yield Text.assemble(("▌ ", "yellow"), reason.text, (where, "dim"))
        if details and reason.detail:
            yield Text(f"  {reason.detail}", style="dim")


def _estimated(estimates: Estimates) -> Iterator[RenderableType]:
    """Yield the panel of estimates per uL.

    It keeps them apart from the counts. Nothing if no estimates were asked for.
    """
    if not estimates.values and not estimates.refused:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("per uL, about")
    table.add_column("", justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("from", style="dim")
    for each in estimates.values:
        interval = f"{rounded_per_ul(each.low)} – {rounded_per_ul(each.high)}"
        table.add_row(each.kind, rounded_per_ul(each.per_ul), interval, each.formula)
    parts: list[RenderableType] = [table] if estimates.values else []
    parts += [Text(f"• {text}") for text in estimates.refused]
    if estimates.values:
        parts.append(
            Text(
                "No counts: a smear is no measured volume, and fields chosen for their cells mislead.", "dim"
            )
        )
    yield Panel(Group(*parts), title="Estimates", title_align="left", width=WIDTH, box=box.ROUNDED)


def rounded_per_ul(per_ul: float) -> str:
    """Round to two figures: an estimate has no more."""
    digits = 1 - math.floor(math.log10(per_ul)) if per_ul > 0 else 0
    return f"{round(per_ul, min(digits, 0)):,.0f}"


def _overlaps(result: SlideResult) -> Iterator[Text]:
    """Yield a line on cells seen repeatedly.

    Nothing if the pictures do not overlap.
    """
    again: Counter[str] = Counter()
    for each in result.counted:
        cells = zip(each.field.cells, each.identities, strict=True)
        again.update(cell.kind for cell, identity in cells if identity not in each.fresh)
    if again:
        cells_again = (
            f"{again[WHITE_CELL]} white cells, {again[RED_CELL]} red cells and {again[PLATELET]} platelets"
        )
        yield Text(f"Pictures overlap: {cells_again} seen again count once.", style="dim")


def _copies(fields: Sequence[Field], overlaps: Sequence[Overlap]) -> Iterator[Text]:
    """Yield lines on copies, the first COPIES by name."""
    copies = [each for each in overlaps if each.kind == "copy"]
    for each in copies[:COPIES]:
        one, other = (short(Path(fields[number - 1].name).name, 22) for number in (each.other, each.number))
        yield Text(f"{one} and {other} are copies of one picture{_how(each)}.", style="yellow")
    named = {each.number for each in copies[:COPIES]}
    if others := {each.number for each in copies} - named:
        more = "1 more picture is a copy" if len(others) == 1 else f"{len(others)} more pictures are copies"
        yield Text(f"{more}.", style="yellow")


def _how(copy: Overlap) -> str:
    """Return a copy's rotation and mirroring.

    In brackets, or empty if neither is known.
    """
    words = ["mirrored"] * copy.mirrored + [f"turned by {copy.turned} degrees"] * bool(copy.turned)
    return f" ({', '.join(words)})" if words else ""


def _quality(result: SlideResult, details: bool) -> Iterator[RenderableType]:
    """Yield a line on picture quality.

    With `details`, a row per picture too.
    """
    fields = [each.field for each in result.counted]
    left_out = [each for each in result.refused if each.exit_code]
    codes = Counter(finding.code for field in fields for finding in field.assessment.findings)
    warned = sum(bool(field.assessment.findings) for field in fields)
    parts = [f"{len(fields) - warned} good"]
    parts += [f"{warned} with a warning ({_counted(codes)})"] if warned else []
    parts += (
        [f"{len(left_out)} left out ({_counted(Counter(each.code for each in left_out))})"]
        if left_out
        else []
    )
    yield Text(f"Pictures: {', '.join(parts)}.")
    if details and len(fields) > 1:
        yield _row_table(fields)


def _counted(codes: Counter[str]) -> str:
    return ", ".join(f"{picture_word(code)} {n}" for code, n in codes.most_common())


def _picture(field: Field, reader: ReaderManifest) -> RenderableType:
    """Return the panel of one picture.

    It has size, scale and counts, and a row for each white cell.
    """
    head = Text()
    head.append(f"{field.width} x {field.height} px, {_scale(field.scale)}\n", style="dim")
    seen = "the field of view" if field.field_of_view else "the whole picture"
    head.append(f"{seen} shows {field.area_mm2 * 1e6:,.0f} um2 of the slide\n", style="dim")
    counts = Counter(cell.kind for cell in field.cells)
    shown = (
        _number(None if kind in field.not_counted else counts[kind], name)
        for kind, name in ((WHITE_CELL, "white cell"), (RED_CELL, "red cell"), (PLATELET, "platelet"))
    )
    head.append(", ".join(shown))
    white = field.of(WHITE_CELL)
    parts: list[RenderableType] = [head, *_findings(field.assessment)]
    if white:
        parts.append(_cells(white, reader))
    return Panel(
        Group(*parts),
        title=Text(short(field.name, WIDTH - 8)),
        title_align="left",
        width=WIDTH,
        box=box.ROUNDED,
    )


def _findings(assessment: Assessment) -> Iterator[Text]:
    """Yield a line per quality finding."""
    for finding in assessment.findings:
        head = ("refused, yet analysed: ", "bold red") if finding.severe else ("warning: ", "yellow")
        yield Text.assemble(head, finding.text)


def _cells(white: Sequence[Cell], reader: ReaderManifest) -> Table:
    """Return a table, a row per white cell.

    Rows are ordered by the cell's number in the picture.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("cell", justify="right", style="dim")
    table.add_column("type", min_width=18)
    table.add_column("sure", justify="right")
    table.add_column("diameter", justify="right")
    table.add_column("N:C", justify="right")
    table.add_column("lobes", justify="right")
    for cell in sorted(white, key=lambda cell: cell.number):
        if cell.reading is None:
            table.add_row(str(cell.number), Text("cut by the edge", style="dim"))
            continue
        label, m = cell.reading.label, cell.morphometry
        table.add_row(
            str(cell.number),
            Text(_type(cell.reading, reader), style=hexadecimal(of_label(label, reader.labels))),
            f"{cell.reading.probability:.0%}" if label != UNCLASSIFIED else "",
            f"{m.diameter_um:.1f} um" if m and m.diameter_um is not None else "–",
            f"{m.nc_ratio:.2f}" if m and m.nc_ratio is not None else "–",
            str(m.lobes) if m and m.lobes is not None else "–",
        )
    return table


def _type(reading: Reading, reader: ReaderManifest) -> str:
    """Return the cell type with its second level.

    For a cell that was not recognised, the most likely type.
    """
    if reading.label == UNCLASSIFIED:
        likeliest = max(reading.probabilities, key=lambda name: reading.probabilities[name])
        return f"{spoken(UNCLASSIFIED)}: {spoken(likeliest)} {reading.probability:.0%}?"
    stage = reading.attributes.get(reader.subtypes.get(reading.label, ""))
    return spoken(f"{reading.label}, {stage.value}" if stage and stage.sure else reading.label)


def _row_table(fields: Sequence[Field]) -> Table:
    """Return a table, a row per picture."""
    table = Table(box=box.SIMPLE_HEAD, width=WIDTH, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("picture", ratio=1, no_wrap=True)
    for name in ("um per px", "white", "red", "platelets"):
        table.add_column(name, justify="right")
    assessment = any(field.assessment.findings for field in fields)
    if assessment:
        table.add_column("quality")
    for field in fields:
        counts = Counter(cell.kind for cell in field.cells)
        table.add_row(
            Fitted(field.name),
            f"{field.scale.um_per_px:.3f} ±{field.scale.relative_error:.0%}",
            *(
                "–" if kind in field.not_counted else str(counts[kind])
                for kind in (WHITE_CELL, RED_CELL, PLATELET)
            ),
            *([_codes(field.assessment)] if assessment else []),
        )
    return table


def _codes(assessment: Assessment) -> Text:
    """Return the codes of a picture's findings.

    Those in red would have refused it.
    """
    words = [(each.code, "bold red" if each.severe else "yellow") for each in assessment.findings]
    return Text(" ").join(Text(*word) for word in words) if words else Text("good", style="dim")


def together(
    fields: Sequence[Field], result: Differential, model: Model, *, details: bool = False
) -> RenderableType:
    """Return the differential of all pictures, with other counts.

    Args:
        fields: Fields of the slide.
        result: Differential of all fields.
        model: Model that the slide was read with.
        details: Add corrected shares and attributes.
    """
    pictures = "1 picture" if len(fields) == 1 else f"{len(fields)} pictures"
    title = f"{_number(result.n, 'white cell')} recognised in {pictures} at {model.magnification}"
    parts: list[RenderableType] = [Text(title, style="bold")]
    if result.n:
        parts.append(_differential(result, model.reader.labels, details=details))
    parts += outside_counts(result)
    if result.supported and details and result.corrected:
        parts.append(Text(_corrected_by(result), style="dim"))
    parts += [Text(text) for text in result.adequacy]
    if details and result.attributes and result.n and result.supported:
        parts.append(Padding(attributes(result), (1, 0, 0, 0)))
    return Padding(Group(*parts), (1, 0))


def closing(result: Differential) -> Text:
    """Return the notice and the reference ranges."""
    return Text(f"{RESEARCH_USE} Reference ranges: {result.reference}.", style="dim")


def _differential(result: Differential, labels: Sequence[str], *, details: bool) -> Table:
    """Return a row per cell type.

    A row has the count, the share of the recognised cells, and its bounds over all white cells found. It has
    the count alone if the data support no share. With `details` it has the corrected share too, else a bar.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("type", min_width=20)
    table.add_column("count", justify="right")
    if result.supported:
        table.add_column("percent", justify="right")
        table.add_column("between", justify="right")
        corrected = details and bool(result.corrected)
        table.add_column("corrected" if corrected else "", justify="right" if corrected else "left")
    absent = []
    for label, share in result.types.items():
        if not share.count:
            absent.append(label)
            continue
        colour = hexadecimal(of_label(label, labels))
        table.add_row(Text(spoken(label), style=colour), *_row(result, label, share, colour, details))
        if result.supported and details and label in result.subtypes:
            _second_level(table, result.subtypes[label])
    for text, cells in _absent(result, absent):
        table.add_row(Text(text, style="dim"), "0", *cells)
    if result.not_recognised:
        beside = f"of {result.white_cells} white cells"
        table.add_row(Text("not recognised", style="bold"), str(result.not_recognised), "", "", beside)
    return table


def _row(result: Differential, label: str, share: Share, colour: str, details: bool) -> Iterator[str | Text]:
    yield str(share.count)
    if not result.supported:
        return
    digits = decimals(share.of)
    bounds = result.bounds.get(label)
    yield f"{share.percent:.{digits}f}"
    yield between(bounds, digits) if bounds else "not known"
    estimate = result.corrected.get(label)
    yield _estimate(estimate, bounds) if details and estimate else _bar(share, bounds, colour)


def _absent(result: Differential, labels: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield rows for types not seen.

    One row says how much of each there may be. Types of which that is not known have their own rows.
    """
    if not result.supported:
        if labels:
            yield "none of the others", ()
        return
    if high := highest(result, labels):
        yield "none of the others", ("0", f"0 – {high} each")
    for label in labels:
        if label not in result.bounds:
            yield spoken(label), ("0", "not known")


def highest(result: Differential, labels: Iterable[str]) -> str:
    """Return the highest upper bound of some types as text; "" if none is known."""
    known = [result.bounds[label].high or 0.0 for label in labels if label in result.bounds]
    return ceil(max(known), decimals(result.n)) if known and result.supported else ""


def between(bounds: Bounds, digits: int = 0) -> str:
    """Return bounds as text, rounded away from each other."""
    high = "" if bounds.high is None else ceil(bounds.high, digits)
    return f"{floor(bounds.low, digits)} – {high}"


def _second_level(table: Table, level: SecondLevel) -> None:
    """Add a dim row per second-level value.

    Its share is of the cells where the reader was sure, not of all white cells.
    """
    unsure = f"{level.unsure} unsure"
    if not level.values:
        table.add_row(f"  {spoken(level.attribute)}", "", "", "", unsure, style="dim")
    for i, (value, share) in enumerate(level.values.items()):
        last = (f"of {share.of} sure", unsure)[i] if i < 2 else ""
        row = (str(share.count), f"{share.percent:.{decimals(share.of)}f}", "")
        table.add_row(f"  {spoken(value)}", *row, last, style="dim")


def _corrected_by(result: Differential) -> str:
    text = "corrected: for the reader's errors, measured on held-out cells."
    if all(estimate.measured for estimate in result.corrected.values()):
        return text
    return f"{text}\n{UNMEASURED} too few of these to know how many the reader misses."


def _estimate(estimate: Estimate, bounds: Bounds | None) -> Text:
    mark = "" if estimate.measured else UNMEASURED
    interval = f" ({estimate.low:.1f} – {estimate.high:.1f})" if bounds else ""
    return Text(f"{estimate.percent:.1f}{mark}{interval}")


def _bar(share: Share, bounds: Bounds | None, colour: str) -> Text:
    """Return a share's bar.

    It is solid up to the share, and dashed from there to the upper bound.
    """
    point = round(share.percent / 100 * BAR)
    high = round((bounds.high if bounds and bounds.high is not None else share.percent) / 100 * BAR)
    return Text.assemble(("━" * point, colour), ("╌" * (high - point), colour))


def outside_counts(result: Differential) -> Iterator[Text]:
    """Yield the counts outside the percentages."""
    outside = [
        f"{spoken(label)} {count}"
        for label, count in result.outside.items()
        if count and label != UNCLASSIFIED
    ]
    if result.cut:
        outside.append(f"cut by the edge {result.cut}")
    if outside:
        yield Text("Not in these: " + ", ".join(outside) + ".")
    ratio = result.platelets_per_red_cell
    about = "" if ratio is None else f", {ratio * 1000:.0f} platelets per 1,000 red cells"
    red, platelets = _number(result.red_cells, "red cell"), _number(result.platelets, "platelet")
    yield Text(f"{red[0].upper()}{red[1:]}, {platelets}{about}.")


def _number(count: int | None, of: str) -> str:
    """Return a count with its noun; None means not counted.

    `of`: the noun in the singular.
    """
    return f"{of}s not counted" if count is None else f"{count} {of}{'' if count == 1 else 's'}"


def attributes(result: Differential) -> Table:
    """Return a table of attribute values.

    Shares are of the cells where the reader was sure.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("attribute", no_wrap=True)
    table.add_column("share of the cells where the reader was sure")
    for name, values in result.attributes.items():
        shown = sorted(values.items(), key=lambda item: -item[1].count)
        if shown:
            text = ", ".join(f"{value} {share.percent:.0f} %" for value, share in shown)
            table.add_row(name.replace("_", " "), f"{text}  (n {shown[0][1].of})")
    return table


def _scale(scale: Scale) -> str:
    axes = f"{scale.um_per_px_x:.4f}" + ("" if scale.squeeze == 1 else f" x {scale.um_per_px_y:.4f}")
    if scale.source == "red cells":
        return f"{axes} um per px (from {scale.red_cells} red cells, ±{scale.relative_error:.0%})"
    return f"{axes} um per px ({scale.source})"
