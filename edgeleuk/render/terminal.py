"""An analysis on a terminal of 80 columns: a block a picture, then one for all together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edgeleuk.correction import Estimate
from edgeleuk.differential import Differential, SecondLevel
from edgeleuk.estimates import NOTHING, Estimates
from edgeleuk.intervals import Share
from edgeleuk.manifest import ReaderManifest
from edgeleuk.render._words import SEVERITY_STYLES, Fitted, flag_title, short
from edgeleuk.render.colours import hexadecimal, of_label
from edgeleuk.render.tables import RESEARCH_USE
from edgeleuk.types import PLATELET, RED_CELL, WHITE_CELL, Assessment, Cell, Field, Overlap, Scale
from edgeleuk.zoo import Model

WIDTH = 78
COPIES = 6
"""Copies that are named."""
BAR = 18
"""Width of a proportion's bar, characters."""
MANY = 12
"""Above this number of pictures each gets a row instead of a block."""
SHOWN = 0.05
"""Least percentage that one decimal does not show as zero."""
UNMEASURED = "*"
"""Marks corrected shares of types that the reader's errors were not measured on."""


def analysis(
    fields: Sequence[Field],
    result: Differential,
    model: Model,
    repeated: Sequence[frozenset[int]] = (),
    estimates: Estimates = NOTHING,
    overlaps: Sequence[Overlap] = (),
) -> RenderableType:
    """Everything `analyze` shows on the terminal.

    `repeated`: for each of the fields the cells, by index, that another one shows too; `overlaps` of the fields, which are
    numbered from 1.
    """
    pictures: list[RenderableType] = (
        [_row_table(fields)] if len(fields) > MANY else [_picture(f, model.reader) for f in fields]
    )
    return Group(
        *pictures,
        *_overlaps(fields, repeated),
        *_copies(fields, overlaps),
        together(fields, result, model),
        *_estimated(estimates),
    )


def _estimated(estimates: Estimates) -> Iterator[RenderableType]:
    """What the blood may hold per uL, clearly apart from what was counted; nothing where nothing was asked for."""
    if not estimates.values and not estimates.refused:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("per uL, about")
    table.add_column("", justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("from", style="dim")
    for each in estimates.values:
        interval = f"{_rounded(each.low)} – {_rounded(each.high)}"
        table.add_row(each.kind, _rounded(each.per_ul), interval, each.formula)
    parts: list[RenderableType] = [table] if estimates.values else []
    parts += [Text(f"• {text}") for text in estimates.refused]
    if estimates.values:
        parts.append(
            Text(
                "No counts: a smear is no measured volume, and fields chosen for their cells mislead.", "dim"
            )
        )
    yield Panel(Group(*parts), title="Estimates", title_align="left", width=WIDTH, box=box.ROUNDED)


def _rounded(per_ul: float) -> str:
    """To two figures: an estimate has no more."""
    digits = 1 - math.floor(math.log10(per_ul)) if per_ul > 0 else 0
    return f"{round(per_ul, min(digits, 0)):,.0f}"


def _overlaps(fields: Sequence[Field], repeated: Sequence[frozenset[int]]) -> Iterator[Text]:
    """How much the pictures show twice; nothing where they do not overlap."""
    again = Counter(
        field.cells[i].kind for field, those in zip(fields, repeated, strict=False) for i in those
    )
    if again:
        cells = f"{again['WBC']} white cells, {again['RBC']} red cells and {again['Platelet']} platelets"
        yield Text(f"Pictures overlap: {cells} seen again count once.", style="dim")


def _copies(fields: Sequence[Field], overlaps: Sequence[Overlap]) -> Iterator[Text]:
    """Which pictures are copies of which; the first few by name."""
    copies = [each for each in overlaps if each.kind == "copy"]
    for each in copies[:COPIES]:
        one, other = (short(Path(fields[number - 1].name).name, 22) for number in (each.other, each.number))
        yield Text(f"{one} and {other} are copies of one picture{_how(each)}.", style="yellow")
    if len(copies) > COPIES:
        yield Text(f"{len(copies) - COPIES} more pictures are copies.", style="yellow")


def _how(copy: Overlap) -> str:
    """What was done to a copy, in brackets; empty for nothing that can be told."""
    words = ["mirrored"] * copy.mirrored + [f"turned by {copy.turned} degrees"] * bool(copy.turned)
    return f" ({', '.join(words)})" if words else ""


def _picture(field: Field, reader: ReaderManifest) -> RenderableType:
    """Size, scale and counts of one picture, and a row for each white cell."""
    head = Text()
    head.append(f"{field.width} x {field.height} px, {_scale(field.scale)}\n", style="dim")
    seen = "the eyepiece's disc" if field.aperture else "the whole picture"
    head.append(f"{seen} shows {field.area_mm2 * 1e6:,.0f} um2 of the slide\n", style="dim")
    counts = Counter(cell.kind for cell in field.cells)
    shown = (
        _number(None if kind in field.not_counted else counts[kind], name)
        for kind, name in ((WHITE_CELL, "white cell"), (RED_CELL, "red cell"), (PLATELET, "platelet"))
    )
    head.append(", ".join(shown))
    white = field.of(WHITE_CELL)
    parts: list[RenderableType] = [head, *_quality(field.assessment)]
    if white:
        parts.append(_cells(white, reader))
    return Panel(
        Group(*parts),
        title=Text(short(field.name, WIDTH - 8)),
        title_align="left",
        width=WIDTH,
        box=box.ROUNDED,
    )


def _quality(judged: Assessment) -> Iterator[Text]:
    """A line for each thing that limits a picture; none for a good one."""
    for finding in judged.findings:
        head = ("refused, yet analysed: ", "bold red") if finding.severe else ("warning: ", "yellow")
        yield Text.assemble(head, finding.text)


def _cells(white: Sequence[Cell], reader: ReaderManifest) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("at x, y", justify="right", style="dim")
    table.add_column("type", min_width=18)
    table.add_column("sure", justify="right")
    table.add_column("diameter", justify="right")
    table.add_column("N:C", justify="right")
    table.add_column("lobes", justify="right")
    for cell in sorted(white, key=lambda cell: (cell.box[1], cell.box[0])):
        x, y = round((cell.box[0] + cell.box[2]) / 2), round((cell.box[1] + cell.box[3]) / 2)
        if cell.reading is None:
            table.add_row(f"{x}, {y}", Text("cut by the edge", style="dim"))
            continue
        label, m = cell.reading.label, cell.morphometry
        stage = cell.reading.attributes.get(reader.subtypes.get(label, ""))
        name = f"{label}, {stage.value}" if stage and stage.sure else label
        table.add_row(
            f"{x}, {y}",
            Text(name.replace("_", " "), style=hexadecimal(of_label(label, reader.labels))),
            f"{cell.reading.probability:.0%}",
            f"{m.diameter_um:.1f} um" if m and m.diameter_um is not None else "–",
            f"{m.nc_ratio:.2f}" if m and m.nc_ratio is not None else "–",
            str(m.lobes) if m and m.lobes is not None else "–",
        )
    return table


def _row_table(fields: Sequence[Field]) -> Table:
    """Many pictures: one row each."""
    table = Table(box=box.SIMPLE_HEAD, width=WIDTH, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("picture", ratio=1, no_wrap=True)
    for name in ("um per px", "white", "red", "platelets"):
        table.add_column(name, justify="right")
    judged = any(field.assessment.findings for field in fields)
    if judged:
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
            *([_codes(field.assessment)] if judged else []),
        )
    return table


def _codes(judged: Assessment) -> Text:
    """What limits a picture, in one word each; those in red would have refused it."""
    words = [(each.code, "bold red" if each.severe else "yellow") for each in judged.findings]
    return Text(" ").join(Text(*word) for word in words) if words else Text("good", style="dim")


def together(fields: Sequence[Field], result: Differential, model: Model) -> RenderableType:
    """The differential of all pictures, its flags, and what lies beside it."""
    parts: list[RenderableType] = []
    if result.n:
        parts.append(_differential(result, model.reader.labels))
        if result.corrected:
            parts.append(Text(_corrected_by(result), style="dim"))
    else:
        parts.append(Text("No white cell was identified: no differential."))
    parts.append(Padding(Group(*_beside(result)), (0, 0, 1, 0)))
    parts += [_flag(flag.code, flag.text, SEVERITY_STYLES[flag.severity]) for flag in result.flags]
    parts += [Text(f"• {text}") for text in result.adequacy]
    if result.attributes and result.n:
        parts.append(Padding(_attributes(result), (1, 0, 0, 0)))
    parts.append(Text(f"\n{RESEARCH_USE} Reference ranges: {result.reference}.", style="dim"))
    pictures = "1 picture" if len(fields) == 1 else f"{len(fields)} pictures"
    title = (
        f"Differential: {_number(result.n, 'white cell')} identified in {pictures} at {model.magnification}"
    )
    return Panel(Group(*parts), title=title, title_align="left", width=WIDTH, box=box.HEAVY)


def _differential(result: Differential, labels: Sequence[str]) -> Table:
    """A row a type; the last column has the corrected share where there is one, else a bar."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("type", min_width=20)
    table.add_column("count", justify="right")
    table.add_column("percent", justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("corrected" if result.corrected else "", justify="right" if result.corrected else "left")
    absent = []
    for label, share in result.types.items():
        estimate = result.corrected.get(label)
        if not share.count and (estimate is None or estimate.percent < SHOWN):
            absent.append(label)
            continue
        colour = hexadecimal(of_label(label, labels))
        last = _estimate(estimate) if estimate else _bar(share, colour)
        table.add_row(Text(label.replace("_", " "), style=colour), *_numbers(share), last)
        if share.count and label in result.subtypes:
            _second_level(table, result.subtypes[label])
    if absent:
        upper = f"0.0 – {max(result.types[label].high for label in absent):.1f}"
        highs = [result.corrected[label].high for label in absent if label in result.corrected]
        last = Text(f"0.0 (0.0 – {max(highs):.1f})" if highs else "")
        table.add_row(Text("none of the others", style="dim"), "0", "0.0", upper, last, end_section=True)
    return table


def _second_level(table: Table, level: SecondLevel) -> None:
    """A dim row for each value: a share of the cells where the reader was sure, not of all white cells."""
    unsure = f"{level.unsure} unsure"
    if not level.values:
        table.add_row(f"  {level.attribute.replace('_', ' ')}", "", "", "", unsure, style="dim")
    for i, (value, share) in enumerate(level.values.items()):
        last = (f"of {share.of} sure", unsure)[i] if i < 2 else ""
        table.add_row(f"  {value.replace('_', ' ')}", *_numbers(share), last, style="dim")


def _corrected_by(result: Differential) -> str:
    text = "corrected: for the reader's errors, measured on held-out cells."
    if all(estimate.measured for estimate in result.corrected.values()):
        return text
    return f"{text}\n{UNMEASURED} too few of these to know how many the reader misses."


def _estimate(estimate: Estimate) -> Text:
    mark = "" if estimate.measured else UNMEASURED
    return Text(f"{estimate.percent:.1f}{mark} ({estimate.low:.1f} – {estimate.high:.1f})")


def _numbers(share: Share) -> tuple[str, str, str]:
    return str(share.count), f"{share.percent:.1f}", f"{share.low:.1f} – {share.high:.1f}"


def _bar(share: Share, colour: str) -> Text:
    """The proportion as a solid bar on the track of its interval."""
    low, point, high = (round(value / 100 * BAR) for value in (share.low, share.percent, share.high))
    text = Text("━" * low, style=colour)
    text.append("━" * (point - low), style=colour)
    text.append("╌" * (high - point), style=colour)
    return text


def _beside(result: Differential) -> Iterator[Text]:
    """What lies outside the percentages."""
    outside = [f"{label.replace('_', ' ')} {count}" for label, count in result.outside.items() if count]
    if result.cut:
        outside.append(f"cut by the edge {result.cut}")
    if outside:
        yield Text("Outside the percentages: " + ", ".join(outside) + ".")
    for label, each in result.per_100.items():
        if each.count and each.per_100 is not None:
            name = label.replace("_", " ")
            yield Text(f"{name}: {each.per_100:.1f} per 100 white cells ({each.low:.1f} – {each.high:.1f}).")
    ratio = result.platelets_per_red_cell
    about = "" if ratio is None else f", {ratio * 1000:.0f} platelets per 1,000 red cells"
    red, platelets = _number(result.red_cells, "red cell"), _number(result.platelets, "platelet")
    yield Text(f"{red[0].upper()}{red[1:]}, {platelets}{about}.")


def _number(count: int | None, of: str) -> str:
    """A count of things named in the singular; None where they were not counted."""
    return f"{of}s not counted" if count is None else f"{count} {of}{'' if count == 1 else 's'}"


def _flag(code: str, text: str, style: str) -> Text:
    line = Text("▌ ", style=style)
    line.append(flag_title(code), style=style)
    line.append(f"  {text}")
    return line


def _attributes(result: Differential) -> Table:
    """Each attribute's values, over the cells where the reader was sure."""
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
