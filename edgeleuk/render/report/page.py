"""Report as one self-contained HTML page.

The page loads nothing: pictures are data URIs, bars are inline SVG, and its policy forbids everything else.
Every text is escaped twice: control characters and characters that turn the direction of writing as on the
terminal, markup by the template engine.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from edgeleuk._text import escaped
from edgeleuk.differential.verdict import Code
from edgeleuk.render._words import (
    counted_text,
    picture_word,
    spoken,
    unchecked_notice,
    verdict_line,
    verdict_title,
    with_micro,
)
from edgeleuk.render.leftout import left_out_lines
from edgeleuk.render.markup import guarded_markup
from edgeleuk.render.tables import RESEARCH_USE
from edgeleuk.render.terminal import between, overlap_text, quality_text, rounded_per_ul, untyped
from edgeleuk.render.typography import NO_BREAK, typeset
from edgeleuk.reports.report import IMAGE_UM, FlaggedCell, PictureRow, Report, ScaleRow, TypeRow
from edgeleuk.statistics.rounding import decimals
from edgeleuk.system.language import _, current, date, figure, msgid, ngettext, word
from edgeleuk.system.sentences import said
from edgeleuk.types import UNCLASSIFIED, Refusal

TEMPLATES = Path(__file__).parent / "templates"
BAR_UM = 5.0
"""Length of the scale bar in a cell's picture, um."""
MOST_LINES = 30
"""Maximum number of pictures, refusals or scales with a line of their own."""
NOT_NAMED = msgid("not named")
ENDINGS = {
    "HIGH": msgid("above its range"),
    "LOW": msgid("below its range"),
    "PRESENT": msgid("look at these"),
    "SUSPECT": msgid("look at these"),
    "POSSIBLE": msgid("look at these"),
}
"""Words for the endings of flag codes."""
BACKGROUNDS: Mapping[Code, str] = {
    "not_usable": "#ffe3e0",
    "look_again": "#fff0c2",
    "too_few_cells": "#e3f0fc",
    "nothing_flagged": "#e6f4e7",
}
"""Backgrounds of verdicts, pale enough for dark text in grey print."""


def page(report: Report) -> str:
    """Return the report as HTML."""
    style = Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))
    return typeset(_engine().get_template("report.html").render(_view(report), style=style))


@cache
def _engine() -> Environment:
    engine = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    engine.filters |= {"when": when, "spoken": spoken, "said": said, "guarded": guarded_markup, "word": word}
    engine.globals |= {"_": _, "ngettext": ngettext, "guarded": guarded_markup, "language": current}
    return engine


def _shown(value: object) -> object:
    """Return a value as it is printed, without control characters."""
    if isinstance(value, Markup):
        return value
    return escaped(value) if isinstance(value, str) else value


def when(time: str | None) -> str:
    """Format a time with its offset from UTC."""
    if not time:
        return ""
    try:
        at = datetime.fromisoformat(time)
    except ValueError:
        return time
    offset = f"{at:%z}"
    zone = "UTC" if not at.utcoffset() else f"UTC{offset[:3]}:{offset[3:5]}"
    return f"{date(at)} {at:%H:%M} {zone}"


def span(started: str, ended: str | None) -> str:
    """Format a start and an end.

    The date is said once if it is the same.
    """
    if not ended:
        return _("{time}, not finished").format(time=when(started))
    first, last = when(started), when(ended)
    same = first[:11] == last[:11] and first[16:] == last[16:]
    start, end = (first[:16], last[11:]) if same else (first, last)
    return _("{start} to {end}").format(start=start, end=end)


def status_words(report: Report) -> str:
    """Return the state of the revision in words."""
    standing = report.standing
    if standing.signed_by:
        return _("{word}, revision {n}").format(word=word(standing.status), n=standing.revision)
    if standing.earlier:
        text = _("preliminary: changed after revision {n} was signed, and not signed again")
        return text.format(n=standing.earlier[-1][0])
    return _("preliminary, reviewed, not signed") if standing.is_reviewed else _("preliminary, not reviewed")


def _view(report: Report) -> dict[str, Any]:
    """Return what the template shows, as texts and numbers."""
    found = report.differential
    title = report.about.slide or report.session or report.about.id
    return {
        "report": report,
        "about": report.about,
        "standing": report.standing,
        "found": found,
        "status": _capital(status_words(report)),
        "slide_facts": _slide_facts(report),
        "program_facts": _program_facts(report),
        "background": BACKGROUNDS[report.verdict.code],
        "title": title,
        "running": escape(_("Slide {title}")).format(title=Markup("<bdi>{}</bdi>").format(escaped(title))),
        "verdict_title": verdict_title(report.verdict),
        "own_verdict": verdict_line(report.program_verdict) if report.program_verdict else "",
        "unchecked": unchecked_notice(),
        "others": [each for each in report.statements if not each.told],
        "rows": [*_rows(report)],
        "absent": bool(found.n) and not report.supported and any(not row.count for row in report.rows),
        "untyped": untyped(report.differential),
        "beside": [*_beside(report)],
        "quality": _quality(report),
        "poor": [_picture(each) for each in report.pictures if each.codes][:MOST_LINES],
        "more_poor": max(0, sum(bool(each.codes) for each in report.pictures) - MOST_LINES),
        "refused": [_refused(each) for each in report.refused][:MOST_LINES],
        "more_refused": max(0, len(report.refused) - MOST_LINES),
        "left_out": [line.plain for line in left_out_lines(report.left_out)],
        "again": _again(report),
        "scales": [_scale(each) for each in report.scales][:MOST_LINES],
        "more_scales": max(0, len(report.scales) - MOST_LINES),
        "cells": [_cell(each) for each in report.flagged],
        "pictured": sum(each.image is not None for each in report.flagged),
        "estimates": [_estimate(each) for each in report.estimates.values],
        "image_um": IMAGE_UM,
        "bar_um": BAR_UM,
        "bar_percent": 100 * BAR_UM / IMAGE_UM,
        "ratio": _ratio(report),
        "clumps": _clumps(report.clumps),
        "area": figure(f"{report.area_mm2:.3g}"),
        "research_use": RESEARCH_USE,
        "number": counted_text,
    }


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _slide_facts(report: Report) -> dict[str, list[tuple[str, str]]]:
    """Return which slide it is, who counted and reviewed it, and when."""
    about, standing = report.about, report.standing
    reviewer = standing.signed_by or ", ".join(standing.reviewers) or _("none: not reviewed")
    pairs = [
        (_("Slide"), about.slide or _(NOT_NAMED)),
        (_("Site"), about.site or _(NOT_NAMED)),
        (_("Device"), about.device or _(NOT_NAMED)),
        (_("Objective"), about.model.magnification),
        (_("Operator"), about.operator or _(NOT_NAMED)),
        (_("Reviewer"), reviewer),
        (_("Counted"), span(about.started, about.ended)),
        (_("Signed"), when(standing.signed_at) or _("not signed")),
        (_("Source"), about.source or _(NOT_NAMED)),
    ]
    if report.session:
        pairs.append((_("Session"), report.session))
    if report.second_of:
        pairs.append((_("Second opinion on"), _("session {id}").format(id=report.second_of)))
    return {"pairs": pairs, "codes": [(_("Result"), about.id)]}


def _program_facts(report: Report) -> dict[str, list[tuple[str, str]]]:
    """Return the program and its models with their hashes."""
    about, model = report.about, report.about.model
    pairs = [
        (_("Program"), f"edgeleuk {about.program}"),
        (_("Model"), _("{objective}, version {n}").format(objective=model.magnification, n=model.version)),
        (_("Profile"), about.profile or _("none")),
        (_("Ranges"), word(report.differential.reference)),
    ]
    hashes = (
        (_("Finder"), model.finder_sha256),
        (_("Reader"), model.reader_sha256),
        (_("Settings"), model.manifest_sha256),
    )
    return {
        "pairs": pairs,
        "codes": [(name, f"SHA-256 {sha}" if sha else _("hash not kept")) for name, sha in hashes],
    }


def _rows(report: Report) -> Iterator[dict[str, Any]]:
    """Yield the lines of the differential.

    Of a slide that supports no shares only the types that were counted: the others are told in one line.
    """
    for row in report.rows:
        if row.count or report.supported or (row.program and row.program[0]):
            yield {
                "label": spoken(row.label),
                "count": row.count,
                "percent": percent_text(row.percent, row.of),
                "between": between_text(row),
                "range": figure(f"{row.range.low:g} – {row.range.high:g}") if row.range else "",
                "flags": [*dict.fromkeys(_flag_words(code) for code in row.flags)],
                "bar": _bar(row),
                "program": _program(row, report),
                "level": _level(row) if report.supported and row.count else "",
            }


def percent_text(percent: float | None, of: int | None) -> str:
    """Return a percentage as text.

    It has as many decimals as its cells allow. The text is "" for none.
    """
    return "" if percent is None or of is None else figure(f"{percent:.{decimals(of)}f}")


def between_text(row: TypeRow) -> str:
    """Return the bounds of a type as text.

    The text is "" where no share is stated.
    """
    if row.of is None:
        return ""
    return between(row.bounds, decimals(row.of)) if row.bounds else _("not known")


def _flag_words(code: str) -> str:
    return _(ENDINGS.get(code.rpartition("_")[2], msgid("look at these")))


def _bar(row: TypeRow) -> dict[str, Any] | None:
    """Return a row's bar: share, bounds and range in percent."""
    if row.percent is None:
        return None
    high = row.bounds.high if row.bounds and row.bounds.high is not None else None
    return {
        "share": f"{row.percent:.2f}",
        "low": f"{row.bounds.low:.2f}" if row.bounds else None,
        "high": high,
        "end": f"{high - 0.6:.2f}" if high is not None else None,
        "length": f"{high - row.bounds.low:.2f}" if row.bounds and high is not None else None,
        "range_low": f"{row.range.low:.2f}" if row.range else None,
        "range_length": f"{row.range.high - row.range.low:.2f}" if row.range else None,
    }


def _program(row: TypeRow, report: Report) -> str | None:
    if row.program is None:
        return None
    count, percent = row.program
    n = report.program.n if report.program else 0
    return f"{count}" if percent is None or not n else figure(f"{count} ({percent:.{decimals(n)}f} %)")


def _level(row: TypeRow) -> str:
    if row.level is None:
        return ""
    counts = _(", ").join(f"{spoken(value)} {share.count}" for value, share in row.level.values.items())
    unsure = _("{n} unsure").format(n=row.level.unsure)
    return _("; ").join((counts, unsure)) if counts else f"{spoken(row.level.attribute)}{_(': ')}{unsure}"


def _beside(report: Report) -> Iterator[str]:
    """Yield the counts outside the percentages, as the terminal names them."""
    for label, count in report.outside.items():
        if count:
            per = report.per_100.get(label)
            value = per.per_100 if per else None
            beside = (
                ""
                if value is None
                else f" ({_('{n} per 100 white cells').format(n=figure(f'{value:.{decimals(per.white)}f}'))})"
                if per
                else ""
            )
            yield f"{spoken(label)} {count}{beside}"
    if report.differential.cut:
        yield f"{_('cut by the edge')} {report.differential.cut}"


def _quality(report: Report) -> str:
    warned = sum(bool(each.codes) for each in report.pictures)
    codes = Counter(code for each in report.pictures for code in each.codes)
    left_out = [each for each in report.refused if each.exit_code]
    return quality_text(len(report.pictures) - warned, warned, codes, Counter(each.code for each in left_out))


def _picture(row: PictureRow) -> dict[str, Any]:
    words = _(", ").join(picture_word(code) for code in row.codes)
    return {"name": row.name, "words": words, "texts": row.texts, "forced": row.forced}


def _refused(each: Refusal) -> dict[str, str]:
    return {
        "name": Path(each.name).name or each.name,
        "words": picture_word(each.code),
        "text": each.text,
    }


def _again(report: Report) -> str:
    white, red, platelets = report.seen_again
    if not any(report.seen_again):
        return ""
    return overlap_text(white, red, platelets)


SOURCES = {
    "given": msgid("given by the user"),
    "red cells": msgid("from red cells, 7.2 µm across"),
    "annotation": msgid("from annotations"),
    "profile": msgid("from the device profile"),
}


def _scale(row: ScaleRow) -> dict[str, str]:
    axes = f"{row.um_per_px_x:.4f}"
    if row.um_per_px_x != row.um_per_px_y:
        axes += f" × {row.um_per_px_y:.4f}"
    measured = f" ({_('{n} measured').format(n=row.red_cells)})" if row.red_cells else ""
    return {
        "axes": _("{axes} µm per pixel").format(axes=figure(axes)),
        "error": f"±{100 * row.relative_error:.0f} %" if row.relative_error else "",
        "source": f"{_(SOURCES[row.source])}{measured}",
        "pictures": counted_text(row.pictures, "picture"),
    }


def _cell(cell: FlaggedCell) -> dict[str, Any]:
    """Return a cell's picture and caption."""
    if cell.label is None:
        text = _("not read")
    elif cell.likeliest and cell.probability is not None:
        text = f"{spoken(UNCLASSIFIED)}{_(': ')}{spoken(cell.likeliest)} {cell.probability:.0%}?"
    elif cell.probability is None:
        text = _("{name}, by a person").format(name=spoken(cell.label))
    else:
        text = f"{spoken(cell.label)} {cell.probability:.0%}"
    image = b64encode(cell.image).decode() if cell.image else ""
    return {
        "name": cell.picture,
        "number": cell.number,
        "said": text.replace("%", f"{NO_BREAK}%"),
        "program": spoken(cell.program) if cell.program else "",
        "image": Markup(f"data:image/jpeg;base64,{image}") if image else "",
    }


def _clumps(clumps: int | None) -> str:
    """Return the English sentence on platelet clumps."""
    if clumps is None:
        return msgid("This reader does not look for platelet clumps.")
    if not clumps:
        return msgid("No platelet clump was recognised.")
    if clumps == 1:
        return msgid("1 platelet clump seen: the number of platelets is too low.")
    return msgid("{n} platelet clumps seen: the number of platelets is too low.").format(n=clumps)


def _estimate(each: Any) -> dict[str, str]:
    return {
        "kind": word(each.kind),
        "value": rounded_per_ul(each.per_ul),
        "interval": f"{rounded_per_ul(each.low)} – {rounded_per_ul(each.high)}",
        "formula": with_micro(said(each.formula)),
    }


def _ratio(report: Report) -> str:
    ratio = report.differential.platelets_per_red_cell
    if ratio is None:
        return ""
    return _("{n} platelets per 1,000 red cells").format(n=f"{ratio * 1000:.0f}")
