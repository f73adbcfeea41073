"""What came of a campaign, as a page."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import UTC, datetime
from importlib import metadata

from edgeleuk import __version__

from .campaign import Sums
from .worker import MOST_MB, MOST_S, Outcome

LIBRARIES = ("numpy", "opencv-python-headless", "pillow-heif", "msgspec")
EXAMPLES = 3
"""Of a fault, that are named."""


def page(sums: Sums, commit: str) -> str:
    """Markdown: the figures, a row a kind, and each fault with inputs that show it."""
    total = sums.inputs.total()
    libraries = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    took = f" in {sums.seconds / 60:.0f} minutes of a worker" if sums.seconds >= 60 else ""
    lines = [
        "# The fuzzing campaign",
        "",
        f"Of {datetime.now(UTC):%Y-%m-%d}, edgeleuk {__version__} at commit {commit}, with {libraries}. Made by",
        f"`python -m tests.fuzz --inputs {total} --state DIR --report deploy/FUZZ.md`; `tests/fuzz/` says how, and what a",
        f"fault is: any exception but a refusal, a crash, more than {MOST_MB:.0f} MB or {MOST_S:.0f} s of processor time, a",
        "library's own text on standard error, a message with control characters.",
        "",
        f"**{total:,} inputs{took}, {sums.faulty:,} faults.** {_extreme('Slowest', sums.slowest)} {_extreme('Most memory', sums.largest)}",
        "",
        "| kind | inputs | read | refused |",
        "|---|---:|---:|---:|",
    ]
    for kind, n in sorted(sums.inputs.items()):
        read = sums.accepted[kind]
        lines.append(f"| {kind} | {n:,} | {read:,} | {n - read:,} |")
    return "\n".join([*lines, *_faults(sums)]) + "\n"


def _extreme(what: str, found: Outcome | None) -> str:
    return f"{what}: {found.seconds:.2f} s and {found.mb:.0f} MB, `{found.name}`." if found else ""


def _faults(sums: Sums) -> list[str]:
    if not sums.faults:
        return []
    alike: defaultdict[str, list[Outcome]] = defaultdict(list)
    for found in sums.faults:
        alike[f"{found.kind}: {re.sub(r'[0-9]+', 'N', found.fault)[:110]}"].append(found)
    rows = sorted(alike.items(), key=lambda item: -len(item[1]))
    lines = ["", f"Faults, of the first {len(sums.faults)}:", ""]
    for what, found in rows:
        examples = ", ".join(f"`{each.name}`" for each in found[:EXAMPLES])
        lines.append(f"- {len(found)} of {what.replace('`', '')} ({examples})")
    return lines
