"""Observations of a report in FHIR R4."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edgeleuk.render.report._resources import (
    Document,
    Resource,
    cells,
    coded,
    instant,
    quantity,
    string,
    told,
)
from edgeleuk.render.report.codes import BESIDE, ESTIMATES, STAGES, TYPES
from edgeleuk.reports.report import TypeRow
from edgeleuk.statistics.bounds import Bounds
from edgeleuk.types import spoken

ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
NOT_MEASURED = "none was recognised, and how many of them the reader misses was not measured"
NO_SHARES = "too few white cells were recognised for percentages, or the pictures are not usable"


@dataclass(frozen=True, slots=True)
class Observations(Document):
    """Observations of one report."""

    def observations(self) -> Iterator[Resource]:
        """Yield what was measured, the types first."""
        report, found = self.report, self.report.differential
        for row in report.rows:
            yield self._type(row)
            yield from self._stages(row)
        for label, beside in report.outside.items():
            yield self._beside(label, beside)
        for name, count in (
            ("White cells recognised", found.n),
            ("White cells not recognised", found.not_recognised),
            ("White cells cut by the edge", found.cut),
            ("Red cells counted on the smear", found.red_cells),
            ("Platelets counted on the smear", found.platelets),
        ):
            yield self._count(name, count)
        for each in report.estimates.values:
            code = ESTIMATES.get(each.kind)
            yield self.observation(
                f"estimate {each.kind} {each.method}",
                coded(code) if code else told(f"{each.kind} per uL by estimate"),
                valueQuantity=quantity(each.per_ul, "/uL", code.unit if code else "/uL"),
                method=told(f"{each.formula}; an estimate from a smear"),
                component=self._interval(each.low, each.high, "/uL", "/uL"),
            )
        yield self.observation("verdict", told("Verdict"), valueString=string(report.verdict.line))

    def observation(self, role: str, code: Resource, **parts: Any) -> Resource:
        parts = {"method": told(self._method())} | parts
        return self.resource(
            "Observation",
            f"observation {role}",
            status=self.status,
            category=[{"coding": [{"system": CATEGORY, "code": "laboratory", "display": "Laboratory"}]}],
            code=code,
            effectiveDateTime=instant(self.report.about.started),
            performer=[self.ref("operator")] if self.report.about.operator else None,
            specimen=self.ref("specimen"),
            device=self.ref("program"),
            **parts,
        )

    def _method(self) -> str:
        looked = self.report.standing
        by = (
            f"a person looked at {looked.reviewed} of {looked.cells} marked cells"
            if looked.is_reviewed
            else "not reviewed"
        )
        return f"Image analysis of a stained blood smear; {by}"

    def _type(self, row: TypeRow) -> Resource:
        code = TYPES.get(row.label)
        components = [cells(row.count, "cells counted")]
        if row.of is not None:
            components.append(cells(row.of, "white cells recognised"))
        if row.bounds:
            components += self._bounds(row.bounds)
        return self.observation(
            row.label,
            coded(code) if code else told(f"{spoken(row.label)}, share of the white cells"),
            **self._share(row.percent, NO_SHARES if row.of is None else NOT_MEASURED),
            component=components,
            referenceRange=self._range(row),
            note=[{"text": string(f"Flag: {flag}")} for flag in row.flags],
        )

    def _share(self, percent: float | None, why: str = NO_SHARES) -> Resource:
        if percent is not None:
            return {"valueQuantity": quantity(percent, "%", "%")}
        return {
            "dataAbsentReason": {
                "coding": [{"system": ABSENT, "code": "unknown", "display": "Unknown"}],
                "text": why,
            }
        }

    def _bounds(self, bounds: Bounds) -> list[Resource]:
        return self._interval(bounds.low, bounds.high, "%", "%")

    def _interval(self, low: float, high: float | None, unit: str, code: str) -> list[Resource]:
        """Return an interval as one component.

        It is open above where it has no end.
        """
        ends = {"low": quantity(low, unit, code)}
        if high is not None:
            ends["high"] = quantity(high, unit, code)
        name = "bounds of the share of all white cells (95 %)" if unit == "%" else "interval (95 %)"
        return [{"code": told(name), "valueRange": ends}]

    def _range(self, row: TypeRow) -> list[Resource]:
        if row.range is None:
            return []
        low, high = (quantity(value, "%", "%") for value in (row.range.low, row.range.high))
        return [{"low": low, "high": high, "text": string(self.report.differential.reference)}]

    def _stages(self, row: TypeRow) -> Iterator[Resource]:
        """Yield the second level of a type.

        Its share of the white cells is stated only where the reader was sure of every cell of the type.
        """
        if row.level is None:
            return
        for value, share in row.level.values.items():
            label = STAGES.get((row.label, value))
            code = TYPES.get(label or "")
            known = row.level.unsure == 0 and row.of
            percent = 100 * share.count / row.of if known and row.of else None
            why = f"{row.level.unsure} of {row.count} are unsure" if row.of else NO_SHARES
            yield self.observation(
                f"{row.label} {value}",
                coded(code) if code else told(f"{spoken(row.label)}, {spoken(value)}"),
                **self._share(percent, why),
                note=[{"text": f"The percentage is of the {row.of} white cells recognised."}]
                if percent is not None
                else None,
                component=[
                    cells(share.count, "cells counted"),
                    *([cells(row.of, "white cells recognised")] if row.of is not None else []),
                    cells(share.of, f"{spoken(row.label)}s of which the reader was sure"),
                    cells(row.level.unsure, f"{spoken(row.label)}s of which the reader was not sure"),
                ],
            )

    def _beside(self, label: str, count: int) -> Resource:
        per = self.report.per_100.get(label)
        code, value = BESIDE.get(label), per.per_100 if per else None
        if code is None:
            return self._count(f"{spoken(label)}, cells beside the percentages", count)
        return self.observation(
            f"beside {label}", coded(code), **self._share(value), component=[cells(count, "cells counted")]
        )

    def _count(self, name: str, count: int | None) -> Resource:
        if count is None:
            absent = {"coding": [{"system": ABSENT, "code": "not-performed", "display": "Not Performed"}]}
            return self.observation(f"count {name}", told(name), dataAbsentReason=absent)
        return self.observation(
            f"count {name}", told(name), valueQuantity=quantity(count, "cells", "{cells}")
        )
