"""Page of a programme's sites.

It is one HTML file that loads nothing and needs no script.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from html import escape

from edgeleuk import __version__
from edgeleuk._text import escaped
from edgeleuk.differential.verdict import TITLES
from edgeleuk.programme.figures import MEASURES, Point, Programme, SiteFigures
from edgeleuk.programme.funnel_svg import funnel_plot, run_chart
from edgeleuk.render._words import unchecked_notice
from edgeleuk.render.markup import guarded_markup
from edgeleuk.render.tables import RESEARCH_USE
from edgeleuk.render.typography import FONTS, typeset
from edgeleuk.system.language import _, current, date, figure, msgid, ngettext
from edgeleuk.system.sentences import said

UNITS = {
    "not_recognised": msgid("white cells"),
    "refused": msgid("pictures taken"),
    "corrected": msgid("cells looked at by a reviewer"),
}
_STYLE = (
    f"body{{font:14px/1.45 {FONTS};}}"
    "body{margin:1.5em auto;max-width:1100px;padding:0 1em;color:#111}"
    "h1{font-size:1.5em;margin:0}h2{font-size:1.15em;margin:1.6em 0 .3em}h3{font-size:1em;margin:1em 0 .2em}"
    "table{border-collapse:collapse;width:100%}th,td{padding:.2em .5em;text-align:end;border-bottom:1px solid #ddd}"
    "th{font-weight:600;vertical-align:bottom}th:first-child,td:first-child{text-align:start}tr.look{background:#fff0c2}"
    "td:first-child,td:last-child{white-space:nowrap}td.bad{color:#b00020;font-weight:700}svg{width:100%;max-width:720px;height:auto;display:block}"
    ".wide{overflow-x:auto}.note{color:#444}li{margin:.2em 0}.english::before{content:'['}.english::after{content:']'}"
    "@media print{@page{size:A4 landscape;margin:12mm}body{margin:0;max-width:none}svg,tr{break-inside:avoid}}"
)
_METHOD = msgid(
    "Funnel plots: limits of 95 % and 99.8 % around the share of all sites by the number of cells, from the normal"
    " approximation and widened by the spread of the sites, of which the outer tenth on either side is drawn in"
    " (Spiegelhalter, Statistics in Medicine 2005;24:1185-1202). Change of a site: its last 10 slides against its first 10 to 30,"
    " in standard deviations of its own first slides' spread (Laney, Quality Engineering 2002;14:531-537); more than 3 is"
    " called drift. Another scale: a slide whose micrometres per pixel are more than 15 % from the median of its device and"
    " objective. A cross or a change is a reason to look, no proof of a fault: patients differ between sites, too."
)


def page(programme: Programme) -> str:
    """Return the page."""
    body, language = "".join(_body(programme)), current()
    return typeset(
        f'<!doctype html>\n<html lang="{language.code}" dir="{language.direction}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{_safe(_('Programme'))}</title><style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _body(programme: Programme) -> Iterator[str]:
    sites = programme.sites
    slides = len(programme.slides.counted)
    head = (
        ngettext("{n} site", "{n} sites", len(sites)).format(n=len(sites)),
        ngettext("{n} slide", "{n} slides", slides).format(n=figure(f"{slides:,}")),
    )
    yield f"<h1>{_safe(_('Programme'))}{_(': ')}{_safe(_(', ').join(head))}</h1>"
    newest = max((each.last for each in sites), key=datetime.fromisoformat, default="")
    heard = _("Last heard from on {day}.").format(day=_day(newest)) + " " if newest else ""
    yield f'<p class="note">{_safe(heard)}edgeleuk {__version__}. {guarded_markup(RESEARCH_USE)}</p>'
    if unchecked := unchecked_notice():
        yield f'<p class="note">{_safe(unchecked)}</p>'
    yield from _to_look_at(programme)
    yield from _conflicts(programme)
    for name, title in MEASURES.items():
        points = [(each.site, each.measures[name]) for each in sites]
        yield f"<h2>{_safe(_(title))}</h2>{funnel_plot(programme.funnels[name], points, _(UNITS[name]))}"
        if not programme.funnels[name].supported and any(point.counts[1] for _, point in points):
            yield f'<p class="note">{_safe(_("There are too few sites for limits."))}</p>'
    yield f"<h2>{_safe(_('Sites'))}</h2>{_table(programme, newest)}"
    yield f'<h2>{_safe(_("Method"))}</h2><p class="note">{_safe(_(_METHOD))}</p>'


def _to_look_at(programme: Programme) -> Iterator[str]:
    found = _by_urgency(programme)
    yield f"<h2>{_safe(_('Sites to look at'))}</h2>"
    if not found:
        yield f"<p>{_safe(_('None stands out.'))}</p>"
    for each in found:
        reasons = "".join(f"<li>{_safe(said(text))}</li>" for text in each.reasons)
        yield f"<h3>{_name(each.site)}</h3><ul>{reasons}</ul>"
        if any(each.measures["not_recognised"].counts) and any("recognised" in text for text in each.reasons):
            text = _safe(_("White cells not recognised, by slide; the last ones are filled:"))
            yield f'<p class="note">{text}</p>{run_chart(each.series)}'


def _by_urgency(programme: Programme) -> list[SiteFigures]:
    """Return the sites to look at, the farthest off first."""

    def distance(site: SiteFigures) -> float:
        points = site.measures.values()
        return max(
            *(abs(each.deviation or 0) for each in points if each.is_unusual),
            *(abs(each.change.deviation) for each in points if each.change and each.change.is_drift),
            0.0,
            0.0,
        )

    return sorted(
        (each for each in programme.sites if each.reasons), key=lambda each: (-distance(each), each.site)
    )


def _conflicts(programme: Programme) -> Iterator[str]:
    if found := programme.slides.conflicts:
        items = "".join(f"<li>{_safe(said(each.text))}</li>" for each in found)
        yield f"<h2>{_safe(_('Contradictions between machines'))}</h2><ul>{items}</ul>"


def _table(programme: Programme, newest: str) -> str:
    head = (
        _("site"), _("devices"), _("slides"), *(_(title).lower() for title in TITLES.values()), _("not recognised"),
        _("pictures refused"), _("corrected"), _("signed"), _("other scale"), _("control slides: runs"), _("rejected"),
        _("last heard from"),
    )  # fmt: skip
    rows = "".join(_row(each, newest) for each in programme.sites)
    titles = "".join(f"<th>{_safe(text)}</th>" for text in head)
    return f'<div class="wide"><table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table></div>'


def _row(site: SiteFigures, newest: str) -> str:
    cells = [
        _cell(_name(site.site)),
        _cell(str(len(site.devices))),
        _cell(figure(f"{site.slides:,}")),
        *(_cell(str(site.verdicts.get(code, 0))) for code in TITLES),
        *(_share(site.measures[name]) for name in MEASURES),
        _cell(str(site.signed)),
        _cell(str(site.scale_off), bad=bool(site.scale_off)),
        _cell(str(site.control_runs)),
        _cell(str(site.control_rejected), bad=site.control_last == "rejected"),
        _cell(_since(site.last, newest)),
    ]
    return f"<tr{' class=look' if site.reasons else ''}>{''.join(cells)}</tr>"


def _share(point: Point) -> str:
    count, of = point.counts
    if not of:
        return _cell("-")
    drift = point.change is not None and point.change.is_drift
    arrow = "" if not drift or point.change is None else " ▲" if point.change.deviation > 0 else " ▼"
    return _cell(
        f"{figure(f'{100 * count / of:.1f}')} %{' ✕' if point.is_unusual else ''}{arrow}",
        bad=point.is_unusual or drift,
    )


def _since(last: str, newest: str) -> str:
    days = (datetime.fromisoformat(newest) - datetime.fromisoformat(last)).days
    if days <= 6:
        return _day(last)
    return _("{day} ({n} days before the last)").format(day=_day(last), n=days)


def _day(time: str) -> str:
    """Return the day of a time, as it was written."""
    return date(datetime.fromisoformat(time))


def _cell(text: str, *, bad: bool = False) -> str:
    return f"<td{' class=bad' if bad else ''}>{text}</td>"


def _name(site: str) -> str:
    return _safe(site) if site else f"<em>{_safe(_('no site'))}</em>"


def _safe(text: str) -> str:
    return escape(escaped(text))
