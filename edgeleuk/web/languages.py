"""Language of a request, and the words of scripts."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources

from markupsafe import Markup, escape

from edgeleuk.system import file_io, language

SCRIPT_TEXT = re.compile(r'\bt\("((?:[^"\\]|\\.)*)"')
"""Texts that scripts show."""
MOST_ASKED = 20
"""Maximum number of languages that a browser is listened to for."""


def asked(accepted: str) -> str:
    """Return the language for a request.

    It is that of the server unless it is English, else that of the browser.

    `accepted`: header `Accept-Language`, see RFC 9110, 12.5.4.
    """
    own = language.current()
    if not own.is_source:
        return own.code
    wanted: list[tuple[float, str]] = []
    for each in accepted.split(",")[:MOST_ASKED]:
        name, _, weight = each.strip().partition(";q=")
        try:
            wanted.append((float(weight or 1), name))
        except ValueError:
            continue
    best = (language.match(name) for weight, name in sorted(wanted, key=lambda each: -each[0]) if weight > 0)
    return next(filter(None, best), language.SOURCE)


@cache
def script_texts() -> tuple[str, ...]:
    """Return the English texts of all scripts."""
    folder = resources.files("edgeleuk.web") / "static"
    scripts = (each.read_text(encoding="utf-8") for each in folder.iterdir() if each.name.endswith(".js"))
    return tuple(
        file_io.parse_json(f'"{text}"') for script in scripts for text in SCRIPT_TEXT.findall(script)
    )


def script_words() -> str:
    """Return the translations of scripts' texts as JSON."""
    return json.dumps({text: language._(text) for text in script_texts() if language._(text) != text})


def bold(number: int) -> Markup:
    """Return a number in bold."""
    return Markup("<b>{}</b>").format(number)


def coded(text: str) -> Markup:
    """Return a text whose parts between backticks are code."""
    return Markup(re.sub(r"`([^`]*)`", r'<code dir="ltr">\1</code>', str(escape(text))))
