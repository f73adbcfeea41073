"""Levey-Jennings charts as SVG, and as a page to print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape

from edgeleuk._text import escaped
from edgeleuk.quality_control.control import ControlRun, EvaluatedValue
from edgeleuk.quality_control.log import Entry
from edgeleuk.render._words import unchecked_notice, with_micro
from edgeleuk.render.levey_jennings import Point, points
from edgeleuk.render.markup import guarded_markup
from edgeleuk.render.quality_control import quantity_name, shown_number, unit, value_text
from edgeleuk.render.tables import RESEARCH_USE
from edgeleuk.render.typography import FONTS, typeset
from edgeleuk.system.language import _, current, date
from edgeleuk.system.sentences import said

WIDTH, HEIGHT = 720, 230
"""Size of one chart, SVG units."""
LEFT, RIGHT, TOP, BOTTOM = 96, 16, 34, 30
MOST_SD = 4.0
"""Deviation at the chart's upper and lower edge; farther ones stand on it."""
_INK = {0: "#444", 1: "#ddd", 2: "#c58b00", 3: "#b00020"}
_STYLE = (
    f"body{{font:14px/1.4 {FONTS};}}"
    "body{margin:2em auto;max-width:760px;color:#111}"
    ".english::before{content:'['}.english::after{content:']'}"
    "svg{display:block;max-width:100%;height:auto;margin:0 0 1.2em;break-inside:avoid}p{margin:.3em 0}"
    "@media print{@page{size:A4;margin:15mm}body{margin:0}}"
)


def svg(name: str, runs: Sequence[tuple[Entry, ControlRun]], quantities: Sequence[str]) -> str:
    """Return all charts below each other as one SVG file.

    Args:
        name: Name of the control slide.
        runs: Its runs, oldest first.
        quantities: Quantities to draw.
    """
    charts = [_chart(points(runs, each), each) for each in quantities]
    body = "".join(
        f'<g transform="translate(0 {24 + place * HEIGHT})">{chart}</g>' for place, chart in enumerate(charts)
    )
    height = 24 + HEIGHT * len(charts)
    title = f'<text x="8" y="18" font-weight="bold">{_safe(_title_of(name))}</text>'
    return typeset(f"{_open(height)}{title}{body}</svg>\n")


def page(name: str, runs: Sequence[tuple[Entry, ControlRun]], quantities: Sequence[str]) -> str:
    """Return the charts as an HTML page of one file.

    It loads nothing. Arguments are those of `svg`.
    """
    charts = "".join(f"{_open(HEIGHT)}{_chart(points(runs, each), each)}</svg>" for each in quantities)
    last = runs[-1][1] if runs else None
    broken = [value_text(each) for each in (*last.rejected, *last.warned)] if last else []
    told = "".join(f"<p>{_safe(_('Last count'))}{_(': ')}{guarded_markup(text)}</p>" for text in broken)
    language = current()
    title = _safe(_title_of(name))
    rules = _safe(_("Westgard rules: 1-2s warns, 1-3s and 2-2s reject."))
    unchecked = f"<p>{_safe(notice)}</p>" if (notice := unchecked_notice()) else ""
    return typeset(
        f'<!doctype html>\n<html lang="{language.code}" dir="{language.direction}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{title}</h1>{told}{charts}"
        f"<p>{rules} {guarded_markup(RESEARCH_USE)}</p>{unchecked}</body></html>\n"
    )


def _title_of(name: str) -> str:
    return _("Control slide {name}").format(name=name)


def _open(height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' direction="ltr" font-family="{_safe(FONTS)}" font-size="12">'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    )


def _chart(shown: Sequence[Point], quantity: str) -> str:
    title = f'<text x="8" y="20" font-weight="bold">{_safe(_title(shown, quantity))}</text>'
    if not shown:
        return title
    return title + "".join((*_lines(shown[-1].evaluated), *_curve(shown), *_dates(shown)))


def _title(shown: Sequence[Point], quantity: str) -> str:
    if not shown:
        return _("{name}: not evaluated yet").format(name=quantity_name(quantity))
    last = shown[-1].evaluated
    return _("{name}: mean {mean}, SD {sd}").format(
        name=quantity_name(quantity),
        mean=f"{shown_number(quantity, last.mean)}{unit(quantity)}",
        sd=shown_number(quantity, last.sd),
    )


def _lines(last: EvaluatedValue) -> Iterator[str]:
    """Yield the mean and the SD lines, with their values.

    The lines are at 1, 2 and 3 SD.
    """
    for sds in range(-3, 4):
        y, ink = _y(sds), _INK[abs(sds)]
        dashes = ' stroke-dasharray="6 4"' if abs(sds) in (2, 3) else ""
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="{ink}"{dashes}/>'
        value = last.mean + sds * last.sd
        name = _("mean") if sds == 0 else f"{sds:+d} {_('SD')}"
        text = _safe(f"{shown_number(last.quantity, value)}  {name}" if value >= 0 else name)
        yield f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end" fill="#444" font-size="11">{text}</text>'


def _curve(shown: Sequence[Point]) -> Iterator[str]:
    """Yield the points, joined while the expected values stay the same."""
    places = [(_x(i, len(shown)), _y(point.evaluated.deviation)) for i, point in enumerate(shown)]
    for i in range(1, len(shown)):
        one, other = shown[i - 1].evaluated, shown[i].evaluated
        (x1, y1), (x2, y2) = places[i - 1], places[i]
        if one.mean == other.mean:
            yield f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#777"/>'
        else:
            middle = round((x1 + x2) / 2, 1)
            yield (
                f'<line x1="{middle}" x2="{middle}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#777"'
                f' stroke-dasharray="2 3"><title>{_safe(_("expected values changed"))}</title></line>'
            )
    for (x, y), point in zip(places, shown, strict=True):
        yield _dot(x, y, point)


def _dot(x: float, y: float, point: Point) -> str:
    """Return a point: its form tells the rule in grey print too."""
    evaluated = point.evaluated
    text = f"{_day(point.at)}{_(': ')}{said(value_text(evaluated))}"
    title = f"<title>{_safe(text)}</title>"
    if evaluated.rule in ("1-3s", "2-2s"):
        cross = f"M{x - 5} {y - 5}L{x + 5} {y + 5}M{x - 5} {y + 5}L{x + 5} {y - 5}"
        return f'<path d="{cross}" stroke="#b00020" stroke-width="3" fill="none">{title}</path>'
    fill = "#fff" if evaluated.rule else "#222"
    return f'<circle cx="{x}" cy="{y}" r="4" fill="{fill}" stroke="#222" stroke-width="1.5">{title}</circle>'


def _dates(shown: Sequence[Point]) -> Iterator[str]:
    for i in sorted({0, len(shown) // 2, len(shown) - 1}):
        x, y = _x(i, len(shown)), HEIGHT - 10
        yield f'<text x="{x}" y="{y}" text-anchor="middle" fill="#444" font-size="11">{_day(shown[i].at)}</text>'


def _x(place: int, of: int) -> float:
    room = WIDTH - LEFT - RIGHT - 48
    return round(LEFT + 24 + (room * place / (of - 1) if of > 1 else room / 2), 1)


def _y(deviation: float) -> float:
    inside = max(-MOST_SD, min(MOST_SD, deviation))
    return round(TOP + (HEIGHT - TOP - BOTTOM) * (MOST_SD - inside) / (2 * MOST_SD), 1)


def _day(time: str) -> str:
    return date(datetime.fromisoformat(time).astimezone())


def _safe(text: str) -> str:
    return escape(with_micro(escaped(text)))
