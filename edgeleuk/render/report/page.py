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
from markupsafe import Markup

from edgeleuk._text import escaped
from edgeleuk.differential.verdict import Code
from edgeleuk.render._words import picture_word, with_micro
from edgeleuk.render.leftout import left_out_lines
from edgeleuk.render.tables import RESEARCH_USE
from edgeleuk.render.terminal import between, rounded_per_ul
from edgeleuk.reports.report import IMAGE_UM, FlaggedCell, PictureRow, Report, ScaleRow, TypeRow
from edgeleuk.statistics.rounding import decimals
from edgeleuk.types import UNCLASSIFIED, Refusal, spoken

TEMPLATES = Path(__file__).parent / "templates"
BAR_UM = 5.0
"""Length of the scale bar in a cell's picture, um."""
MOST_LINES = 30
"""Maximum number of pictures, refusals or scales with a line of their own."""
NOT_NAMED = "not named"
NO_BREAK = "\u00a0"
ENDINGS = {
    "HIGH": "above its range",
    "LOW": "below its range",
    "PRESENT": "look at these",
    "SUSPECT": "look at these",
    "POSSIBLE": "look at these",
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
    return _engine().get_template("report.html").render(_view(report), style=style)


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
    engine.filters |= {"when": when, "spoken": spoken}
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
    return f"{at:%Y-%m-%d %H:%M} {zone}"


def span(started: str, ended: str | None) -> str:
    """Format a start and an end; the date is said once if it is the same."""
    if not ended:
        return f"{when(started)}, not finished"
    first, last = when(started), when(ended)
    same = first[:11] == last[:11] and first[16:] == last[16:]
    return f"{first[:16]} to {last[11:]}" if same else f"{first} to {last}"


def status_words(report: Report) -> str:
    """Return the state of the revision in words."""
    standing = report.standing
    if standing.signed_by:
        return f"{standing.status}, revision {standing.revision}"
    if standing.earlier:
        last = standing.earlier[-1][0]
        return f"preliminary: changed after revision {last} was signed, and not signed again"
    reviewed = "reviewed, not signed" if standing.is_reviewed else "not reviewed"
    return f"preliminary, {reviewed}"


def _view(report: Report) -> dict[str, Any]:
    """Return what the template shows, as texts and numbers."""
    found = report.differential
    return {
        "report": report,
        "about": report.about,
        "standing": report.standing,
        "found": found,
        "status": _capital(status_words(report)),
        "slide_facts": _slide_facts(report),
        "program_facts": _program_facts(report),
        "background": BACKGROUNDS[report.verdict.code],
        "title": report.about.slide or report.session or report.about.id,
        "others": [each for each in report.statements if not each.told],
        "rows": [*_rows(report)],
        "absent": bool(found.n) and not report.supported and any(not row.count for row in report.rows),
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
        "area": f"{report.area_mm2:.3g}",
        "research_use": RESEARCH_USE,
        "number": count_words,
    }


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _slide_facts(report: Report) -> dict[str, list[tuple[str, str]]]:
    """Return which slide it is, who counted and reviewed it, and when."""
    about, standing = report.about, report.standing
    reviewer = standing.signed_by or ", ".join(standing.reviewers) or "none: not reviewed"
    pairs = [
        ("Slide", about.slide or NOT_NAMED),
        ("Site", about.site or NOT_NAMED),
        ("Device", about.device or NOT_NAMED),
        ("Objective", about.model.magnification),
        ("Operator", about.operator or NOT_NAMED),
        ("Reviewer", reviewer),
        ("Counted", span(about.started, about.ended)),
        ("Signed", when(standing.signed_at) or "not signed"),
        ("Source", about.source or NOT_NAMED),
    ]
    if report.session:
        pairs.append(("Session", report.session))
    return {"pairs": pairs, "codes": [("Result", about.id)]}


def _program_facts(report: Report) -> dict[str, list[tuple[str, str]]]:
    """Return the program and its models with their hashes."""
    about, model = report.about, report.about.model
    pairs = [
        ("Program", f"edgeleuk {about.program}"),
        ("Model", f"{model.magnification}, version {model.version}"),
        ("Profile", about.profile or "none"),
        ("Ranges", report.differential.reference),
    ]
    hashes = (
        ("Finder", model.finder_sha256),
        ("Reader", model.reader_sha256),
        ("Settings", model.manifest_sha256),
    )
    return {
        "pairs": pairs,
        "codes": [(name, f"SHA-256 {sha}" if sha else "hash not kept") for name, sha in hashes],
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
                "range": f"{row.range.low:g} – {row.range.high:g}" if row.range else "",
                "flags": [*dict.fromkeys(_flag_words(code) for code in row.flags)],
                "bar": _bar(row),
                "program": _program(row, report),
                "level": _level(row) if report.supported and row.count else "",
            }


def percent_text(percent: float | None, of: int | None) -> str:
    """Return a percentage with as many decimals as its cells allow; "" for none."""
    return "" if percent is None or of is None else f"{percent:.{decimals(of)}f}"


def between_text(row: TypeRow) -> str:
    """Return the bounds of a type as text; "" where no share is stated."""
    if row.of is None:
        return ""
    return between(row.bounds, decimals(row.of)) if row.bounds else "not known"


def _flag_words(code: str) -> str:
    return ENDINGS.get(code.rpartition("_")[2], "look at these")


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
    return f"{count}" if percent is None or not n else f"{count} ({percent:.{decimals(n)}f} %)"


def _level(row: TypeRow) -> str:
    if row.level is None:
        return ""
    counts = ", ".join(f"{spoken(value)} {share.count}" for value, share in row.level.values.items())
    unsure = f"{row.level.unsure} unsure"
    return f"{counts}; {unsure}" if counts else f"{spoken(row.level.attribute)}: {unsure}"


def _beside(report: Report) -> Iterator[str]:
    """Yield the counts outside the percentages, as the terminal names them."""
    for label, count in report.outside.items():
        if count:
            per = report.per_100.get(label)
            value = per.per_100 if per else None
            beside = (
                ""
                if value is None
                else f" ({value:.{decimals(per.white)}f} per 100 white cells)"
                if per
                else ""
            )
            yield f"{spoken(label)} {count}{beside}"
    if report.differential.cut:
        yield f"cut by the edge {report.differential.cut}"


def _quality(report: Report) -> str:
    warned = sum(bool(each.codes) for each in report.pictures)
    codes = Counter(code for each in report.pictures for code in each.codes)
    left_out = [each for each in report.refused if each.exit_code]
    parts = [f"{len(report.pictures) - warned} good"]
    parts += [f"{warned} with a warning ({_counted(codes)})"] if warned else []
    if left_out:
        parts.append(f"{len(left_out)} left out ({_counted(Counter(each.code for each in left_out))})")
    return ", ".join(parts)


def _counted(codes: Counter[str]) -> str:
    return ", ".join(f"{picture_word(code)} {n}" for code, n in codes.most_common())


def _picture(row: PictureRow) -> dict[str, Any]:
    words = ", ".join(picture_word(code) for code in row.codes)
    return {
        "name": row.name,
        "words": words,
        "texts": [with_micro(text) for text in row.texts],
        "forced": row.forced,
    }


def _refused(each: Refusal) -> dict[str, str]:
    return {
        "name": Path(each.name).name or each.name,
        "words": picture_word(each.code),
        "text": with_micro(each.text),
    }


def _again(report: Report) -> str:
    white, red, platelets = report.seen_again
    if not any(report.seen_again):
        return ""
    return f"Pictures overlap: {white} white cells, {red} red cells and {platelets} platelets seen again count once."


SOURCES = {
    "given": "given by the user",
    "red cells": "from red cells, 7.2 µm across",
    "annotation": "from annotations",
    "profile": "from the device profile",
}


def _scale(row: ScaleRow) -> dict[str, str]:
    axes = f"{row.um_per_px_x:.4f}"
    if row.um_per_px_x != row.um_per_px_y:
        axes += f" × {row.um_per_px_y:.4f}"
    measured = f" ({row.red_cells} measured)" if row.red_cells else ""
    return {
        "axes": f"{axes} µm per pixel",
        "error": f"±{100 * row.relative_error:.0f} %" if row.relative_error else "",
        "source": f"{SOURCES[row.source]}{measured}",
        "pictures": "1 picture" if row.pictures == 1 else f"{row.pictures} pictures",
    }


def _cell(cell: FlaggedCell) -> dict[str, Any]:
    """Return a cell's picture and caption."""
    if cell.label is None:
        said = "not read"
    elif cell.likeliest and cell.probability is not None:
        said = f"{spoken(UNCLASSIFIED)}: {spoken(cell.likeliest)} {cell.probability:.0%}?"
    elif cell.probability is None:
        said = f"{spoken(cell.label)}, by a person"
    else:
        said = f"{spoken(cell.label)} {cell.probability:.0%}"
    image = b64encode(cell.image).decode() if cell.image else ""
    return {
        "name": cell.picture,
        "number": cell.number,
        "said": said.replace("%", f"{NO_BREAK}%"),
        "program": spoken(cell.program) if cell.program else "",
        "image": Markup(f"data:image/jpeg;base64,{image}") if image else "",
    }


def _estimate(each: Any) -> dict[str, str]:
    return {
        "kind": each.kind,
        "value": rounded_per_ul(each.per_ul),
        "interval": f"{rounded_per_ul(each.low)} – {rounded_per_ul(each.high)}",
        "formula": with_micro(each.formula),
    }


def _ratio(report: Report) -> str:
    ratio = report.differential.platelets_per_red_cell
    return "" if ratio is None else f"{ratio * 1000:.0f} platelets per 1,000 red cells"


def count_words(count: int | None, noun: str) -> str:
    """Return a count with its noun; None means not counted."""
    return f"{noun}s not counted" if count is None else f"{count} {noun}{'' if count == 1 else 's'}"
