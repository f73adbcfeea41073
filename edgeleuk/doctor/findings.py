"""Findings and report of the doctor, one line per check."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from edgeleuk import __version__

State = Literal["ok", "warning", "failure"]
"""State of a check.

"ok": as it should be. "warning": something to know or to fix, and the work can be done. "failure": the work cannot be
done, or not be trusted.
"""
SCHEMA = "edgeleuk-doctor/1"
_OTHER_HOMES = re.compile(r"(?<![\w/])/(?:home|Users|media|run/media)/[^/\s:;,'\"]+")
"""Pattern of other home folders, and of mounted sticks.

The folder of a stick contains the user's name.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check."""

    check: str
    """Name of the check; scripts may rely on it."""
    state: State
    said: str
    """Result in one or two sentences."""
    remedy: str = ""
    """Command that fixes it, ready to copy."""
    advice: str = ""
    """Advice in one sentence, instead of a command or besides."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Numbers and names of the check, ready for JSON."""


@dataclass(frozen=True, slots=True)
class Report:
    """Report of an examination, without users' names or folders."""

    findings: Sequence[Finding]

    @property
    def worst(self) -> State:
        states = {finding.state for finding in self.findings}
        return "failure" if "failure" in states else "warning" if "warning" in states else "ok"

    @property
    def works(self) -> bool:
        return self.worst != "failure"

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON, schema `edgeleuk-doctor/1`.

        Keys are added within a version, none removed.
        """
        checks = [
            {"check": each.check, "state": each.state, "said": each.said, "remedy": each.remedy,
             "advice": each.advice, "facts": dict(each.facts)}
            for each in self.findings
        ]  # fmt: skip
        return {"schema": SCHEMA, "version": __version__, "state": self.worst, "checks": checks}


def without_names(value: Any) -> Any:
    """Remove users' names from all texts in a value.

    Texts inside lists and mappings are included. The user's own folders become ~, and names in other paths are removed.
    """
    if isinstance(value, Mapping):
        return {without_names(key): without_names(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_names(each) for each in value]
    return _shortened(value) if isinstance(value, str) else value


def nameless(finding: Finding) -> Finding:
    return replace(
        finding,
        said=without_names(finding.said),
        remedy=without_names(finding.remedy),
        advice=without_names(finding.advice),
        facts=without_names(finding.facts),
    )


def _shortened(text: str) -> str:
    home = os.path.expanduser("~")  # noqa: PTH111  # unlike Path.home(), it never fails
    if len(Path(home).parts) > 1:
        text = re.sub(rf"{re.escape(home)}(?![\w-]|\.\w)", "~", text)
    return _OTHER_HOMES.sub("~", text)
