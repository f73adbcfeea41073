"""Numbers, units, names and punctuation as the page's language sets them.

It works on finished HTML. Texts of tags are set; tags, their attributes, and what a browser gives back or runs are left.
English pages are left as they are.
"""

from __future__ import annotations

import re

from edgeleuk.system.language import current

FONTS = (
    '"Noto Sans", "Noto Naskh Arabic", "Noto Sans Arabic", "Noto Nastaliq Urdu", "Segoe UI", system-ui,'
    ' "DejaVu Sans", sans-serif'
)
"""Fonts of pages.

DejaVu Sans has most letters of Urdu but not U+06C1 and U+06D2. It comes after fonts with all of them: a word is
joined only within one font.
"""
NO_BREAK = "\u00a0"
LEFT_TO_RIGHT, BY_FIRST_LETTER, END = "\u2066", "\u2068", "\u2069"
"""Marks of a part with its own direction, and its end (Unicode Standard Annex 9, 2.4 and 2.5)."""
WHOLE = 24
"""Maximum length of a part with its own direction that stays on one line, characters."""
_PIECE = re.compile(
    r"(<(script|style|textarea|title|option|code|kbd)\b[^>]*>.*?</\2>)|(<[^>]*>)|([^<]+)", re.DOTALL
)
BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|[µu]m[²2]?|mm[²2]|[µu]L|px)(?!\w))")
"""Space between a number and its unit, where no line may end."""
_FRENCH = re.compile(r"(?<=\S) (?=[:;?!»])|(?<=«) |(?<=\d)(?=%)")
_TOKEN = r"(?:(?<![^\s(])[~.]{0,2}/|[±+−-]{0,2})[A-Za-z0-9µ]+(?:[.,:;/@_–+-]+[A-Za-z0-9µ]+)*[²³]?%?"
_RUN = re.compile(rf"&#?\w+;|{_TOKEN}(?:,?[ \u00a0](?:[–×±] ?)?(?:{_TOKEN}|%))*")
_ARABIC = re.compile("[\u0600-\u06ff]")
_MORE_THAN_A_NUMBER = re.compile(r"[^\d.,]")


def typeset(html: str) -> str:
    """Return a page or a part of it, set for the current language.

    A number and its unit stay on one line. In a language that is written from right to left, names, measures and
    ranges in Latin letters or with a sign keep their own direction.
    """
    language = current()
    if language.is_source:
        return html
    rtl = language.direction == "rtl"
    tag = ""
    parts: list[str] = []
    for found in _PIECE.finditer(html):
        whole, _, opened, text = found.groups()
        if text is None:
            tag = opened or ""
            parts.append(whole or opened)
            continue
        text = BEFORE_UNIT.sub(NO_BREAK, text)
        if language.code == "fr":
            text = _FRENCH.sub(NO_BREAK, text)
        parts.append(_directed(text, tag) if rtl and text.strip() else text)
    return "".join(parts)


def _directed(text: str, tag: str) -> str:
    """Return a text with marks of direction; `tag` is the tag before it."""
    if 'dir="ltr"' in tag:
        return f"{LEFT_TO_RIGHT}{text}{END}"
    if ('dir="auto"' in tag or tag.startswith("<bdi")) and not _ARABIC.search(text):
        return f"{BY_FIRST_LETTER}{text}{END}"
    set_text = _RUN.sub(_isolated, text)
    # A chart has one direction, so that its texts stand at their places; a text in it has its own.
    return f"{BY_FIRST_LETTER}{set_text}{END}" if tag.startswith("<text") else set_text


def _isolated(found: re.Match[str]) -> str:
    run = found[0]
    if run.startswith("&") or not _MORE_THAN_A_NUMBER.search(run):
        return run
    if len(run) <= WHOLE:
        run = run.replace(" ", NO_BREAK)
    return f"{LEFT_TO_RIGHT}{run}{END}"
