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
from edgeleuk.render._words import (
    Fitted,
    counted_text,
    picture_word,
    short,
    spoken,
    unchecked_notice,
    verdict_title,
)
from edgeleuk.render.colours import hexadecimal, of_label
from edgeleuk.render.leftout import left_out_lines
from edgeleuk.render.tables import RESEARCH_USE
from edgeleuk.results.slide_result import SlideResult
from edgeleuk.statistics.bounds import Bounds
from edgeleuk.statistics.correction import Estimate
from edgeleuk.statistics.intervals import Share
from edgeleuk.statistics.rounding import ceil, decimals, floor
from edgeleuk.system.language import _, figure, ngettext, word
from edgeleuk.system.sentences import guarded, said
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
    title, text = verdict_title(verdict), guarded(verdict.text)
    return Text.assemble((f" {title} ", STYLES[verdict.code]), f" {text}")


def reasons(result: SlideResult, *, details: bool = False) -> Iterator[Text]:
    """Yield reasons missing from the verdict's line.

    With `details`, the reasoning behind every reason too.
    """
    others = result.verdict.others
    for reason in result.verdict.reasons:
        if reason in others:
            where = f" {said(reason.named)}" if reason.named and others.index(reason) < REASONS else ""
            yield Text.assemble(("▌ ", "yellow"), guarded(reason.text), (where, "dim"))
        if details and reason.detail:
            yield Text(f"  {said(reason.detail)}", style="dim")


def _estimated(estimates: Estimates) -> Iterator[RenderableType]:
    """Yield the panel of estimates per uL.

    It keeps them apart from the counts. Nothing if no estimates were asked for.
    """
    if not estimates.values and not estimates.refused:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column(_("per uL, about"))
    table.add_column("", justify="right")
    table.add_column(_("95 % interval"), justify="right")
    table.add_column(_("from"), style="dim")
    for each in estimates.values:
        interval = f"{rounded_per_ul(each.low)} – {rounded_per_ul(each.high)}"
        table.add_row(word(each.kind), rounded_per_ul(each.per_ul), interval, said(each.formula))
    parts: list[RenderableType] = [table] if estimates.values else []
    parts += [Text(f"• {said(text)}") for text in estimates.refused]
    if estimates.values:
        parts.append(
            Text(
                _("No counts: a smear is no measured volume, and fields chosen for their cells mislead."),
                "dim",
            )
        )
    yield Panel(Group(*parts), title=_("Estimates"), title_align="left", width=WIDTH, box=box.ROUNDED)


def rounded_per_ul(per_ul: float) -> str:
    """Round to two figures: an estimate has no more."""
    digits = 1 - math.floor(math.log10(per_ul)) if per_ul > 0 else 0
    return figure(f"{round(per_ul, min(digits, 0)):,.0f}")


def _overlaps(result: SlideResult) -> Iterator[Text]:
    """Yield a line on cells seen repeatedly.

    Nothing if the pictures do not overlap.
    """
    again: Counter[str] = Counter()
    for each in result.counted:
        cells = zip(each.field.cells, each.identities, strict=True)
        again.update(cell.kind for cell, identity in cells if identity not in each.fresh)
    if again:
        yield Text(overlap_text(again[WHITE_CELL], again[RED_CELL], again[PLATELET]), style="dim")


def overlap_text(white: int, red: int, platelets: int) -> str:
    """Return a sentence on cells that several pictures show."""
    text = _(
        "Pictures overlap: {white} white cells, {red} red cells and {platelets} platelets seen again count once."
    )
    return text.format(white=white, red=red, platelets=platelets)


def _copies(fields: Sequence[Field], overlaps: Sequence[Overlap]) -> Iterator[Text]:
    """Yield lines on copies, the first COPIES by name."""
    copies = [each for each in overlaps if each.kind == "copy"]
    for each in copies[:COPIES]:
        one, other = (short(Path(fields[number - 1].name).name, 22) for number in (each.other, each.number))
        text = _("{one} and {other} are copies of one picture{how}.")
        yield Text(text.format(one=one, other=other, how=_how(each)), style="yellow")
    named = {each.number for each in copies[:COPIES]}
    if others := {each.number for each in copies} - named:
        n = len(others)
        more = ngettext("{n} more picture is a copy.", "{n} more pictures are copies.", n)
        yield Text(more.format(n=n), style="yellow")


def _how(copy: Overlap) -> str:
    """Return a copy's rotation and mirroring.

    In brackets, or empty if neither is known.
    """
    turned = _("turned by {degrees} degrees").format(degrees=copy.turned)
    words = [_("mirrored")] * copy.mirrored + [turned] * bool(copy.turned)
    return f" ({', '.join(words)})" if words else ""


def _quality(result: SlideResult, details: bool) -> Iterator[RenderableType]:
    """Yield a line on picture quality.

    With `details`, a row per picture too.
    """
    fields = [each.field for each in result.counted]
    left_out = [each for each in result.refused if each.exit_code]
    codes = Counter(finding.code for field in fields for finding in field.assessment.findings)
    warned = sum(bool(field.assessment.findings) for field in fields)
    refused = Counter(each.code for each in left_out)
    yield Text(_("Pictures: {list}.").format(list=quality_text(len(fields) - warned, warned, codes, refused)))
    if details and len(fields) > 1:
        yield _row_table(fields)


def quality_text(good: int, warned: int, codes: Counter[str], refused: Counter[str]) -> str:
    """Return in words how many pictures are good.

    Args:
        good: Number of pictures without a warning.
        warned: Number of pictures with a warning.
        codes: Codes of the warnings.
        refused: Codes of the pictures that were left out.
    """
    parts = [ngettext("{n} good", "{n} good", good).format(n=good)]
    if warned:
        text = ngettext("{n} with a warning ({list})", "{n} with a warning ({list})", warned)
        parts.append(text.format(n=warned, list=_counted(codes)))
    if n := refused.total():
        text = ngettext("{n} left out ({list})", "{n} left out ({list})", n)
        parts.append(text.format(n=n, list=_counted(refused)))
    return _(", ").join(parts)


def _counted(codes: Counter[str]) -> str:
    return _(", ").join(f"{picture_word(code)} {n}" for code, n in codes.most_common())


def _picture(field: Field, reader: ReaderManifest) -> RenderableType:
    """Return the panel of one picture.

    It has size, scale and counts, and a row for each white cell.
    """
    head = Text()
    head.append(f"{field.width} x {field.height} px, {_scale(field.scale)}\n", style="dim")
    seen = (
        _("the field of view shows {area} um2 of the slide")
        if field.field_of_view
        else _("the whole picture shows {area} um2 of the slide")
    )
    head.append(f"{seen.format(area=figure(f'{field.area_mm2 * 1e6:,.0f}'))}\n", style="dim")
    counts = Counter(cell.kind for cell in field.cells)
    shown = (
        counted_text(None if kind in field.not_counted else counts[kind], name)
        for kind, name in ((WHITE_CELL, "white cell"), (RED_CELL, "red cell"), (PLATELET, "platelet"))
    )
    head.append(_(", ").join(shown))
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
        head = (_("refused, yet analysed: "), "bold red") if finding.severe else (_("warning: "), "yellow")
        yield Text.assemble(head, guarded(finding.text))


def _cells(white: Sequence[Cell], reader: ReaderManifest) -> Table:
    """Return a table, a row per white cell.

    Rows are ordered by the cell's number in the picture.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column(_("cell"), justify="right", style="dim")
    table.add_column(_("type"), min_width=18)
    table.add_column(_("sure"), justify="right")
    table.add_column(_("diameter"), justify="right")
    table.add_column(_("N:C"), justify="right")
    table.add_column(_("lobes"), justify="right")
    for cell in sorted(white, key=lambda cell: cell.number):
        if cell.reading is None:
            table.add_row(str(cell.number), Text(_("cut by the edge"), style="dim"))
            continue
        label, m = cell.reading.label, cell.morphometry
        table.add_row(
            str(cell.number),
            Text(_type(cell.reading, reader), style=hexadecimal(of_label(label, reader.labels))),
            figure(f"{cell.reading.probability:.0%}") if label != UNCLASSIFIED else "",
            figure(f"{m.diameter_um:.1f} um") if m and m.diameter_um is not None else "–",
            figure(f"{m.nc_ratio:.2f}") if m and m.nc_ratio is not None else "–",
            str(m.lobes) if m and m.lobes is not None else "–",
        )
    return table


def _type(reading: Reading, reader: ReaderManifest) -> str:
    """Return the cell type with its second level.

    For a cell that was not recognised, the most likely type.
    """
    if reading.label == UNCLASSIFIED:
        likeliest = max(reading.probabilities, key=lambda name: reading.probabilities[name])
        return f"{spoken(UNCLASSIFIED)}{_(': ')}{spoken(likeliest)} {figure(f'{reading.probability:.0%}')}?"
    stage = reading.attributes.get(reader.subtypes.get(reading.label, ""))
    name = spoken(reading.label)
    return f"{name}{_(', ')}{spoken(stage.value)}" if stage and stage.sure else name


def _row_table(fields: Sequence[Field]) -> Table:
    """Return a table, a row per picture."""
    table = Table(box=box.SIMPLE_HEAD, width=WIDTH, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column(_("picture"), ratio=1, no_wrap=True)
    for name in (_("um per px"), _("white"), _("red"), _("platelets")):
        table.add_column(name, justify="right")
    assessment = any(field.assessment.findings for field in fields)
    if assessment:
        table.add_column(_("quality"))
    for field in fields:
        counts = Counter(cell.kind for cell in field.cells)
        table.add_row(
            Fitted(field.name),
            figure(f"{field.scale.um_per_px:.3f} ±{field.scale.relative_error:.0%}"),
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
    words = [(word(each.code), "bold red" if each.severe else "yellow") for each in assessment.findings]
    return Text(" ").join(Text(*each) for each in words) if words else Text(_("good"), style="dim")


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
    n = len(fields)
    title = ngettext(
        "{cells} recognised in {n} picture at {objective}",
        "{cells} recognised in {n} pictures at {objective}",
        n,
    ).format(cells=counted_text(result.n, "white cell"), n=n, objective=model.magnification)
    parts: list[RenderableType] = [Text(title, style="bold")]
    if result.n:
        parts.append(_differential(result, model.reader.labels, details=details))
    parts += outside_counts(result)
    if result.supported and details and result.corrected:
        parts.append(Text(_corrected_by(result), style="dim"))
    parts += [Text(guarded(text)) for text in result.adequacy]
    if details and result.attributes and result.n and result.supported:
        parts.append(Padding(attributes(result), (1, 0, 0, 0)))
    return Padding(Group(*parts), (1, 0))


def closing(result: Differential) -> Text:
    """Return the notice and the reference ranges."""
    ranges = _("Reference ranges: {ranges}.").format(ranges=word(result.reference))
    return Text(" ".join(filter(None, (guarded(RESEARCH_USE), ranges, unchecked_notice()))), style="dim")


def _differential(result: Differential, labels: Sequence[str], *, details: bool) -> Table:
    """Return a row per cell type.

    A row has the count, the share of the recognised cells, and its bounds over all white cells found. It has
    the count alone if the data support no share. With `details` it has the corrected share too, else a bar.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column(_("type"), min_width=20)
    table.add_column(_("count"), justify="right")
    if result.supported:
        table.add_column(_("percent"), justify="right")
        table.add_column(_("between"), justify="right")
        corrected = details and bool(result.corrected)
        table.add_column(_("corrected") if corrected else "", justify="right" if corrected else "left")
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
        beside = _("of {n} white cells").format(n=result.white_cells)
        table.add_row(Text(_("not recognised"), style="bold"), str(result.not_recognised), "", "", beside)
        for name, count in untyped(result):
            table.add_row(f"  {name}", str(count), "", "", "", style="dim")
    return table


def untyped(result: Differential) -> list[tuple[str, int]]:
    """Return the lineages of unrecognised cells, with their numbers.

    The most frequent first, cells of no sure lineage last; empty where no lineage is sure.
    """
    known = [(spoken(name), each.untyped) for name, each in result.lineages.items() if each.untyped]
    if not known:
        return []
    rest = result.not_recognised - result.of_known_lineage
    return [
        *sorted(known, key=lambda each: -each[1]),
        *([(_("lineage not recognised"), rest)] if rest else []),
    ]


def _row(result: Differential, label: str, share: Share, colour: str, details: bool) -> Iterator[str | Text]:
    yield str(share.count)
    if not result.supported:
        return
    digits = decimals(share.of)
    bounds = result.bounds.get(label)
    yield figure(f"{share.percent:.{digits}f}")
    yield between(bounds, digits) if bounds else _("not known")
    estimate = result.corrected.get(label)
    yield _estimate(estimate, bounds) if details and estimate else _bar(share, bounds, colour)


def _absent(result: Differential, labels: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield rows for types not seen.

    One row says how much of each there may be. Types of which that is not known have their own rows.
    """
    if not result.supported:
        if labels:
            yield _("none of the others"), ()
        return
    if high := highest(result, labels):
        yield _("none of the others"), ("0", _("0 – {high} each").format(high=figure(high)))
    for label in labels:
        if label not in result.bounds:
            yield spoken(label), ("0", _("not known"))


def highest(result: Differential, labels: Iterable[str]) -> str:
    """Return the highest upper bound of some types as text.

    The text is "" if none is known.
    """
    known = [result.bounds[label].high or 0.0 for label in labels if label in result.bounds]
    return ceil(max(known), decimals(result.n)) if known and result.supported else ""


def between(bounds: Bounds, digits: int = 0) -> str:
    """Return bounds as text, rounded away from each other."""
    high = "" if bounds.high is None else ceil(bounds.high, digits)
    return figure(f"{floor(bounds.low, digits)} – {high}")


def _second_level(table: Table, level: SecondLevel) -> None:
    """Add a dim row per second-level value.

    Its share is of the cells where the reader was sure, not of all white cells.
    """
    unsure = _("{n} unsure").format(n=level.unsure)
    if not level.values:
        table.add_row(f"  {spoken(level.attribute)}", "", "", "", unsure, style="dim")
    for i, (value, share) in enumerate(level.values.items()):
        last = (_("of {n} sure").format(n=share.of), unsure)[i] if i < 2 else ""
        row = (str(share.count), figure(f"{share.percent:.{decimals(share.of)}f}"), "")
        table.add_row(f"  {spoken(value)}", *row, last, style="dim")


def _corrected_by(result: Differential) -> str:
    text = _("corrected: for the reader's errors, measured on held-out cells.")
    if all(estimate.measured for estimate in result.corrected.values()):
        return text
    return f"{text}\n{UNMEASURED} {_('too few of these to know how many the reader misses.')}"


def _estimate(estimate: Estimate, bounds: Bounds | None) -> Text:
    mark = "" if estimate.measured else UNMEASURED
    interval = f" ({estimate.low:.1f} – {estimate.high:.1f})" if bounds else ""
    return Text(figure(f"{estimate.percent:.1f}{mark}{interval}"))


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
        outside.append(f"{_('cut by the edge')} {result.cut}")
    if outside:
        yield Text(_("Not in these: {list}.").format(list=_(", ").join(outside)))
    ratio = result.platelets_per_red_cell
    red, platelets = counted_text(result.red_cells, "red cell"), counted_text(result.platelets, "platelet")
    parts = [f"{red[0].upper()}{red[1:]}", platelets]
    if ratio is not None:
        parts.append(_("{n} platelets per 1,000 red cells").format(n=f"{ratio * 1000:.0f}"))
    yield Text(_(", ").join(parts) + _("."))


def attributes(result: Differential) -> Table:
    """Return a table of attribute values.

    Shares are of the cells where the reader was sure.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column(_("attribute"), no_wrap=True)
    table.add_column(_("share of the cells where the reader was sure"))
    for name, values in result.attributes.items():
        shown = sorted(values.items(), key=lambda item: -item[1].count)
        if shown:
            text = _(", ").join(f"{spoken(value)} {share.percent:.0f} %" for value, share in shown)
            table.add_row(spoken(name), f"{text}  (n {shown[0][1].of})")
    return table


def _scale(scale: Scale) -> str:
    axes = f"{scale.um_per_px_x:.4f}" + ("" if scale.squeeze == 1 else f" x {scale.um_per_px_y:.4f}")
    if scale.source == "red cells":
        text = _("{axes} um per px (from {n} red cells, ±{error})")
        return figure(text.format(axes=axes, n=scale.red_cells, error=f"{scale.relative_error:.0%}"))
    return figure(_("{axes} um per px ({source})").format(axes=axes, source=word(scale.source)))
