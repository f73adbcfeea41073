"""Names of options and commands in messages from below."""

from __future__ import annotations

from edgeleuk.system import wording

SHORT = {"recursive": "-r"}
"""Options that messages name by their short form."""

WORDING = wording.Wording(
    option=lambda key: SHORT.get(key, f"--{key}"), command=lambda words: f"edgeleuk {words}"
)
