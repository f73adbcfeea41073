"""Figures of the sites of a programme.

They also show what is unusual about the sites.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import median
from typing import Any

from edgeleuk.programme.conflicts import Slides, codes
from edgeleuk.programme.documents import ControlDocument, SlideDocument
from edgeleuk.statistics.funnel import ALARM_SDS, WARNING_SDS, Change, Counts, Funnel, change, funnel
from edgeleuk.statistics.kappa import kappa

MEASURES: Mapping[str, str] = {
    "not_recognised": "White cells not recognised",
    "refused": "Pictures refused",
    "corrected": "Cells corrected by a reviewer, of those looked at",
}
"""Shares that sites are compared by, with their titles."""
SCALE_OFF = 0.15
"""Relative distance of a slide's scale from its device's median that no blood explains.

The mean red cell of healthy people is 6.7 to 7.7 um across (Price-Jones 1933), 7 % from 7.2; another objective
changes the scale by a factor of 2.5 or more.
"""
COLUMNS = (
    "id", "state", "program_verdict", "review", "revision", "signed_by", "signed_at", "looked_at", "corrected", "last",
    "store", "sequence", "scale_off", "second_opinions", "second_agreed", "second_of_cells", "second_kappa", "conflicts",
)  # fmt: skip
"""Columns of a slide beside those of `slides_table`."""


@dataclass(frozen=True, slots=True)
class Point:
    """One measure of one site."""

    counts: Counts
    deviation: float | None
    """Distance from all sites' share in standard deviations; None where it is not known."""
    change: Change | None
    """Change from the site's first slides to its last ones; None for too few slides."""

    @property
    def is_unusual(self) -> bool:
        """Whether it lies outside the limits of 99.8 %."""
        return self.deviation is not None and abs(self.deviation) > ALARM_SDS

    @property
    def is_warning(self) -> bool:
        """Whether it lies outside the limits of 95 %."""
        return self.deviation is not None and abs(self.deviation) > WARNING_SDS


@dataclass(frozen=True, slots=True)
class SiteFigures:
    """Figures of one site."""

    site: str
    devices: tuple[str, ...]
    slides: int
    verdicts: Mapping[str, int]
    signed: int
    """Slides whose present revision is signed."""
    measures: Mapping[str, Point]
    """By the names of MEASURES."""
    scale_off: int
    """Slides whose scale is far from the median of their device and objective."""
    control_runs: int
    control_rejected: int
    control_last: str
    """State of the last run of a control slide; empty without one."""
    last: str
    """Time of the last field or end, UTC, ISO 8601."""
    series: tuple[Counts, ...]
    """White cells not recognised and white cells, by slide in the order of counting."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Reasons to look at this site, in few words each.

        Empty if there is no reason.
        """
        found = []
        for name, title in MEASURES.items():
            point = self.measures[name]
            if point.is_unusual:
                found.append(
                    f"{title.lower()}: {'more' if (point.deviation or 0) > 0 else 'fewer'} than at the others"
                )
            if point.change and point.change.is_drift:
                found.append(
                    f"{title.lower()}: {'more' if point.change.deviation > 0 else 'fewer'} than on its first slides"
                )
        if self.scale_off:
            found.append(
                f"{self.scale_off} slide{'s' * (self.scale_off != 1)} of another scale: is the objective the one that was named?"
            )
        if self.control_last == "rejected":
            found.append("the control slide failed at its last count")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Programme:
    """Figures of all sites."""

    slides: Slides
    sites: tuple[SiteFigures, ...]
    """By name."""
    funnels: Mapping[str, Funnel]
    """By the names of MEASURES."""
    scale_off: frozenset[str]
    """UUIDs of sessions whose scale is far from their device's."""


def figures(slides: Slides, controls: Iterable[ControlDocument]) -> Programme:
    """Return the figures of all sites."""
    off = _scale_off(slides.counted)
    by_site: defaultdict[str, list[SlideDocument]] = defaultdict(list)
    for each in slides.counted:
        by_site[each.row["site"]].append(each)
    runs: defaultdict[str, list[ControlDocument]] = defaultdict(list)
    for entry in controls:
        if entry.kind == "run":
            runs[entry.site].append(entry)
    counts = {
        name: {site: _sum(_counts(name, each) for each in found) for site, found in by_site.items()}
        for name in MEASURES
    }
    funnels = {name: funnel([*found.values()]) for name, found in counts.items()}
    sites = []
    for site in sorted({*by_site, *runs}):
        found = sorted(by_site[site], key=lambda each: (each.sequence, each.started, each.uuid))
        points = {
            name: _point(
                funnels[name], counts[name].get(site, (0, 0)), [_counts(name, each) for each in found]
            )
            for name in MEASURES
        }
        sites.append(_site(site, found, points, sum(each.uuid in off for each in found), runs[site]))
    return Programme(slides, tuple(sites), funnels, off)


def rows(programme: Programme) -> list[dict[str, Any]]:
    """Return one row a slide, with COLUMNS beside those of `slides_table`."""
    kinds = codes(programme.slides.conflicts)
    made = []
    for each in programme.slides.counted:
        revisions = each.review.get("revisions") or [{}]
        signed = bool(each.review.get("signed"))
        made.append({
            **each.row,
            "id": each.id,
            "state": each.state,
            "program_verdict": each.program_verdict,
            "review": each.review.get("state"),
            "revision": each.review.get("revision"),
            "signed_by": revisions[-1].get("by") if signed else None,
            "signed_at": revisions[-1].get("at") if signed else None,
            "looked_at": each.looked_at,
            "corrected": each.corrected,
            "last": each.last,
            "store": each.store,
            "sequence": each.sequence,
            "scale_off": int(each.uuid in programme.scale_off),
            **_second(each, programme.slides.second.get(each.uuid, ())),
            "conflicts": kinds.get(each.uuid, ""),
        })  # fmt: skip
    return made


def _second(each: SlideDocument, opinions: Sequence[SlideDocument]) -> dict[str, Any]:
    """Return the agreement with the second opinions.

    It is of the cells that both reviewers looked at.
    """
    pairs = [
        (label, opinion.labels[cell])
        for opinion in opinions
        for cell, label in each.labels.items()
        if cell in opinion.labels
    ]
    found = kappa(pairs)
    return {
        "second_opinions": len(opinions),
        "second_agreed": found.agreed if opinions else None,
        "second_of_cells": found.n if opinions else None,
        "second_kappa": None if found.kappa is None else round(found.kappa, 4),
    }


def sites_as_json(programme: Programme) -> list[dict[str, Any]]:
    """Return the figures of the sites as plain values for JSON."""
    return [_site_json(each) for each in programme.sites]


def _site_json(site: SiteFigures) -> dict[str, Any]:
    points = {
        name: {
            "count": point.counts[0],
            "of": point.counts[1],
            "deviation": point.deviation,
            "unusual": point.is_unusual,
            "change": asdict(point.change) | {"drift": point.change.is_drift} if point.change else None,
        }
        for name, point in site.measures.items()
    }
    names = (
        "site", "devices", "slides", "verdicts", "signed", "scale_off", "control_runs", "control_rejected", "control_last",
        "last",
    )  # fmt: skip
    return {name: getattr(site, name) for name in names} | {"measures": points, "reasons": list(site.reasons)}


def _site(
    site: str,
    found: Sequence[SlideDocument],
    points: Mapping[str, Point],
    off: int,
    runs: list[ControlDocument],
) -> SiteFigures:
    runs.sort(key=lambda each: (each.at, each.store, each.number))
    return SiteFigures(
        site=site,
        devices=tuple(sorted({each.row["device"] for each in found})),
        slides=len(found),
        verdicts=dict(sorted(Counter(each.row["verdict"] for each in found).items())),
        signed=sum(bool(each.review.get("signed")) for each in found),
        measures=points,
        scale_off=off,
        control_runs=len(runs),
        control_rejected=sum(each.outcome == "rejected" for each in runs),
        control_last=runs[-1].outcome if runs else "",
        last=max([*(each.last for each in found), *(each.at for each in runs)], key=datetime.fromisoformat),
        series=tuple(_counts("not_recognised", each) for each in found),
    )


def _point(funnel_of_all: Funnel, counts: Counts, slides: Sequence[Counts]) -> Point:
    deviation = funnel_of_all.deviation(counts) if funnel_of_all.supported else None
    return Point(counts, deviation, change(slides))


def _counts(measure: str, each: SlideDocument) -> Counts:
    row = each.row
    if measure == "not_recognised":
        return row["not_recognised"], row["white_cells"]
    if measure == "refused":
        return row["pictures_refused"], row["pictures"] + row["pictures_refused"]
    return each.corrected, each.looked_at


def _sum(counts: Iterable[Counts]) -> Counts:
    every = list(counts)
    return sum(count for count, _ in every), sum(of for _, of in every)


def _scale_off(slides: Iterable[SlideDocument]) -> frozenset[str]:
    """Return the sessions whose scale is far off.

    Their scale is far from the median of their device and objective.
    """
    found: defaultdict[tuple[str, str, str], list[tuple[str, float]]] = defaultdict(list)
    for each in slides:
        if scale := each.row.get("um_per_px"):
            found[each.row["site"], each.row["device"], each.row["objective"]].append((each.uuid, scale))
    off = set()
    for scales in found.values():
        middle = median(scale for _, scale in scales)
        off |= {uuid for uuid, scale in scales if abs(scale / middle - 1) > SCALE_OFF}
    return frozenset(off)
