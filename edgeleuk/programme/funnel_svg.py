"""Funnel plot and run chart as inline SVG; they need no script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import sqrt

from edgeleuk._text import escaped
from edgeleuk.programme.figures import Point
from edgeleuk.statistics.funnel import ALARM_SDS, RECENT, WARNING_SDS, Counts, Funnel
from edgeleuk.system.language import _, figure

WIDTH, HEIGHT = 720, 300
RUN_HEIGHT = 150
"""Sizes of a funnel plot and of a run chart, SVG units."""
LEFT, RIGHT, TOP, BOTTOM = 56, 150, 14, 40
CURVE = 60
"""Points of a limit's curve."""
NAMED = 12
"""Sites outside the limits that a plot names; a title of its point names every one."""
_RED, _AMBER, _INK, _PALE = "#b00020", "#c58b00", "#222", "#999"


def funnel_plot(found: Funnel, sites: Sequence[tuple[str, Point]], unit: str) -> str:
    """Return the funnel plot of one measure.

    Args:
        found: Common share and spread.
        sites: Names and points of the sites.
        unit: What the shares are of, such as "white cells".
    """
    drawn = [(name, point) for name, point in sites if point.counts[1]]
    if not drawn:
        return f"<p>{_safe(_('No {unit} were counted.').format(unit=unit))}</p>"
    most = max(point.counts[1] for _, point in drawn) * 1.05
    top = _top(found, drawn, most)
    parts = [*_axes(top, most, unit), *_limits(found, top, most), *_points(drawn, top, most)]
    return _svg(HEIGHT, parts, _("Funnel plot: share by the number of {unit}").format(unit=unit))


def run_chart(series: Sequence[Counts]) -> str:
    """Return a chart of the shares of a site's slides.

    The slides are in the order of counting; the last ones are filled.
    """
    counted = [each for each in series if each[1]]
    if len(counted) < 2:
        return ""
    shares = [count / of for count, of in counted]
    top = max(0.05, *shares) * 1.1
    step = (WIDTH - LEFT - RIGHT) / (len(shares) - 1)
    places = [
        (round(LEFT + place * step, 1), _y(share, top, RUN_HEIGHT)) for place, share in enumerate(shares)
    ]
    parts = [*_scale(top, RUN_HEIGHT)]
    parts.append(
        f'<polyline points="{" ".join(f"{x},{y}" for x, y in places)}" fill="none" stroke="{_PALE}"/>'
    )
    for place, (x, y) in enumerate(places):
        count, of = counted[place]
        fill = _INK if place >= len(places) - RECENT else "#fff"
        text = _("slide {number}: {count} of {of}, {percent} %").format(
            number=place + 1, count=count, of=of, percent=figure(f"{100 * count / of:.1f}")
        )
        title = f"<title>{_safe(text)}</title>"
        parts.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{fill}" stroke="{_INK}">{title}</circle>')
    order = _("{n} slides in the order of counting").format(n=len(shares))
    parts.append(_text((LEFT, RUN_HEIGHT - 12), order, "start"))
    return _svg(RUN_HEIGHT, parts, _("White cells not recognised, by slide"))


def _points(drawn: Sequence[tuple[str, Point]], top: float, most: float) -> Iterator[str]:
    """Yield the points of the plot.

    The form of a point shows in grey print, too, what is unusual.
    """
    unusual = sorted(
        (point for point in drawn if point[1].is_unusual), key=lambda each: -abs(each[1].deviation or 0)
    )
    named = {name for name, _ in unusual[:NAMED]}
    for name, point in drawn:
        count, of = point.counts
        x, y = _x(of, most), _y(count / of, top, HEIGHT)
        text = _("{name}: {count} of {of}, {percent} %").format(
            name=name or _("no site"), count=count, of=of, percent=figure(f"{100 * count / of:.2f}")
        )
        if point.deviation is not None:
            text += f"{_(', ')}{figure(f'{point.deviation:+.1f}')} {_('SD')}"
        title = f"<title>{_safe(text)}</title>"
        if point.is_unusual:
            size = 5
            cross = (
                f"M{x - size} {y - size}L{x + size} {y + size}M{x - size} {y + size}L{x + size} {y - size}"
            )
            yield f'<path d="{cross}" stroke="{_RED}" stroke-width="3" fill="none">{title}</path>'
        else:
            ink = _AMBER if point.is_warning else _INK
            yield f'<circle cx="{x}" cy="{y}" r="3.5" fill="#fff" stroke="{ink}" stroke-width="1.5">{title}</circle>'
        if name in named:
            yield _text((x + 9, y + 4), name[:24], "start", _RED)


def _limits(found: Funnel, top: float, most: float) -> Iterator[str]:
    y = _y(found.share, top, HEIGHT)
    yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="{_INK}"/>'
    yield _text(
        (WIDTH - RIGHT + 6, y + 4),
        _("all sites {percent} %").format(percent=figure(f"{100 * found.share:.2f}")),
        "start",
    )
    if not found.supported or not 0 < found.share < 1:
        return
    for sds, ink, dash in ((WARNING_SDS, _AMBER, "6 4"), (ALARM_SDS, _RED, "2 3")):
        for side in (0, 1):
            # Closer together on the left, where the limits bend; they begin where the share is within the plot.
            numbers = [most * (place / CURVE) ** 2 for place in range(1, CURVE + 1)]
            curve = [(_x(of, most), found.limits(of, sds)[side]) for of in numbers]
            places = " ".join(f"{x},{_y(share, top, HEIGHT)}" for x, share in curve if share <= top)
            if places:
                yield f'<polyline points="{places}" fill="none" stroke="{ink}" stroke-dasharray="{dash}"/>'
    for text, sds, ink in (("95 %", WARNING_SDS, _AMBER), ("99.8 %", ALARM_SDS, _RED)):
        upper = found.limits(most, sds)[1]
        if upper <= top:
            yield _text((WIDTH - RIGHT + 6, _y(upper, top, HEIGHT) - 2), text, "start", ink)


def _top(found: Funnel, drawn: Sequence[tuple[str, Point]], most: float) -> float:
    """Return the share at the upper edge."""
    highest = max(point.counts[0] / point.counts[1] for _, point in drawn)
    limit = found.limits(most / sqrt(CURVE), ALARM_SDS)[1] if found.supported else 0.0
    return min(1.0, max(0.01, 1.1 * highest, 1.1 * found.share, min(limit, 2 * highest)))


def _axes(top: float, most: float, unit: str) -> Iterator[str]:
    yield from _scale(top, HEIGHT)
    for part in (0.25, 0.5, 0.75, 1.0):
        of = most * part / 1.05
        x = _x(of, most)
        yield f'<line x1="{x}" x2="{x}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM + 4}" stroke="{_PALE}"/>'
        yield _text((x, HEIGHT - BOTTOM + 16), figure(f"{of:,.0f}"), "middle")
    yield _text(((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8), unit, "middle")


def _scale(top: float, height: int) -> Iterator[str]:
    for part in (0.0, 0.5, 1.0):
        y = _y(top * part, top, height)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#e4e4e4"/>'
        yield _text((LEFT - 6, y + 4), figure(f"{100 * top * part:.3g} %"), "end")


def _x(of: float, most: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * of / most, 1)


def _y(share: float, top: float, height: int) -> float:
    return round(TOP + (height - TOP - BOTTOM) * (1 - min(share, top) / top), 1)


def _text(at: tuple[float, float], text: str, anchor: str, ink: str = "#444") -> str:
    return f'<text x="{at[0]}" y="{at[1]}" text-anchor="{anchor}" fill="{ink}">{_safe(text)}</text>'


def _svg(height: int, parts: Sequence[str], name: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{_safe(name)}"'
        f' direction="ltr" font-family="system-ui, sans-serif" font-size="11">{"".join(parts)}</svg>'
    )


def _safe(text: str) -> str:
    return escape(escaped(text))
