"""What the doctor says: one line for each thing looked at."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from edgeleuk import __version__

State = Literal["ok", "warning", "failure"]
"""As it should be; something to know or to mend, and the work can be done; the work cannot be done, or not trusted."""
SCHEMA = "edgeleuk-doctor/1"
_OTHER_HOMES = re.compile(r"(?<![\w/])/(?:home|Users|media|run/media)/[^/\s:;,'\"]+")
"""Also a stick's folder, which bears the user's name."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """Its name, which scripts may rely on."""
    state: State
    said: str
    """One or two sentences."""
    remedy: str = ""
    """The command that mends it, as it can be copied."""
    advice: str = ""
    """What to do where no command can, or besides: a sentence."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Numbers and names behind it, ready for JSON."""


@dataclass(frozen=True, slots=True)
class Report:
    """An examination of a machine. It names no user, and no folder of theirs."""

    findings: Sequence[Finding]

    @property
    def worst(self) -> State:
        states = {finding.state for finding in self.findings}
        return "failure" if "failure" in states else "warning" if "warning" in states else "ok"

    @property
    def works(self) -> bool:
        return self.worst != "failure"

    def as_json(self) -> dict[str, Any]:
        """`edgeleuk-doctor/1`: keys are added within a version, none removed."""
        checks = [
            {"check": each.check, "state": each.state, "said": each.said, "remedy": each.remedy,
             "advice": each.advice, "facts": dict(each.facts)}
            for each in self.findings
        ]  # fmt: skip
        return {"schema": SCHEMA, "version": __version__, "state": self.worst, "checks": checks}


def without_names(value: Any) -> Any:
    """Texts, also inside lists and mappings, with the user's folders shortened to ~ and no names in other paths."""
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
