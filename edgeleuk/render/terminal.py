"""An analysis on a terminal of 80 columns: a block a picture, then one for all together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edgeleuk.differential import Differential
from edgeleuk.intervals import Share
from edgeleuk.render.colours import hexadecimal, of_label
from edgeleuk.render.tables import RESEARCH_USE
from edgeleuk.types import Cell, Field, Scale
from edgeleuk.zoo import Model

WIDTH = 78
BAR = 18
"""Width of a proportion's bar, characters."""
MANY = 12
"""Above this number of pictures each gets a row instead of a block."""
_STYLES = {"alert": "bold red", "warning": "yellow", "note": "cyan"}


def analysis(fields: Sequence[Field], result: Differential, model: Model) -> RenderableType:
    """Everything `analyze` shows on the terminal."""
    labels = model.reader.labels
    pictures: list[RenderableType] = (
        [_row_table(fields)] if len(fields) > MANY else [_picture(f, labels) for f in fields]
    )
    return Group(*pictures, _together(fields, result, model))


def _picture(field: Field, labels: Sequence[str]) -> RenderableType:
    """Size, scale and counts of one picture, and a row for each white cell."""
    head = Text()
    head.append(f"{field.width} x {field.height} px, {_scale(field.scale)}\n", style="dim")
    counts = Counter(cell.kind for cell in field.cells)
    head.append(f"{counts['WBC']} white cells, {counts['RBC']} red cells, {counts['Platelet']} platelets")
    white = field.of("WBC")
    parts: list[RenderableType] = [head]
    if white:
        parts.append(_cells(white, labels))
    return Panel(
        Group(*parts), title=_short(field.name, WIDTH - 8), title_align="left", width=WIDTH, box=box.ROUNDED
    )


def _cells(white: Sequence[Cell], labels: Sequence[str]) -> Table:
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
        name = Text(label.replace("_", " "), style=hexadecimal(of_label(label, labels)))
        table.add_row(
            f"{x}, {y}",
            name,
            f"{cell.reading.probability:.0%}",
            f"{m.diameter_um:.1f} um" if m and m.diameter_um is not None else "–",
            f"{m.nc_ratio:.2f}" if m and m.nc_ratio is not None else "–",
            str(m.lobes) if m and m.lobes is not None else "–",
        )
    return table


def _row_table(fields: Sequence[Field]) -> Table:
    """Many pictures: one row each."""
    table = Table(box=box.SIMPLE_HEAD, width=WIDTH, header_style="dim", padding=(0, 1))
    table.add_column("picture", ratio=1, no_wrap=True)
    for name in ("um per px", "white", "red", "platelets"):
        table.add_column(name, justify="right")
    for field in fields:
        counts = Counter(cell.kind for cell in field.cells)
        table.add_row(
            _short(field.name, 36),
            f"{field.scale.um_per_px:.3f} ±{field.scale.relative_error:.0%}",
            *(str(counts[kind]) for kind in ("WBC", "RBC", "Platelet")),
        )
    return table


def _together(fields: Sequence[Field], result: Differential, model: Model) -> RenderableType:
    parts: list[RenderableType] = []
    if result.n:
        parts.append(_differential(result, model.reader.labels))
    else:
        parts.append(Text("No white cell was identified: no differential."))
    parts.append(Padding(Group(*_beside(result)), (0, 0, 1, 0)))
    parts += [_flag(flag.code, flag.text, _STYLES[flag.severity]) for flag in result.flags]
    parts += [Text(f"• {text}") for text in result.adequacy]
    if result.attributes and result.n:
        parts.append(Padding(_attributes(result), (1, 0, 0, 0)))
    parts.append(Text(f"\n{RESEARCH_USE} Reference ranges: {result.reference}.", style="dim"))
    pictures = "1 picture" if len(fields) == 1 else f"{len(fields)} pictures"
    title = f"Differential: {result.n} white cells identified in {pictures} at {model.magnification}"
    return Panel(Group(*parts), title=title, title_align="left", width=WIDTH, box=box.HEAVY)


def _differential(result: Differential, labels: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("type", min_width=20)
    table.add_column("count", justify="right")
    table.add_column("percent", justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("")
    for label, share in result.types.items():
        if share.count:
            colour = hexadecimal(of_label(label, labels))
            table.add_row(Text(label.replace("_", " "), style=colour), *_numbers(share), _bar(share, colour))
    absent = [label.replace("_", " ") for label, share in result.types.items() if not share.count]
    if absent:
        upper = next(share.high for share in result.types.values() if not share.count)
        table.add_row(
            Text("none of the others", style="dim"), "0", "0.0", f"0.0 – {upper:.1f}", "", end_section=True
        )
    return table


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
    yield Text(f"{result.red_cells} red cells, {result.platelets} platelets{about}.")


def _flag(code: str, text: str, style: str) -> Text:
    line = Text("▌ ", style=style)
    line.append(code.replace("_", " ").capitalize(), style=style)
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


def _short(name: str, width: int) -> str:
    """The end of a path tells more than its beginning."""
    name = Path(name).name if len(name) > width else name
    return name if len(name) <= width else "..." + name[3 - width :]
