"""Translation of finished English sentences.

Verdicts, findings, refusals and errors are made below the screens and are kept in English. Where they are
shown, `said` recognises them: a catalogue has the sentence itself or its template, such as "{n} of {of} white
cells were not recognised.". What stands for the placeholders goes into the translation, numbers and names in
the form of the language. A sentence that no catalogue has stays English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from string import Formatter

from edgeleuk.system import language as languages
from edgeleuk.system.language import NAMES, Language, current, figure, speaking

LEAST_LETTERS = 3
"""Minimum letters of a template beside its placeholders.

Templates with fewer would recognise too much.
"""
NAMED = frozenset(
    {
        "name",
        "them",
        "list",
        "cells",
        "reasons",
        "reason",
        "kind",
        "kinds",
        "label",
        "word",
        "yes",
        "no",
        "state",
        "what",
    }
)
"""Placeholders that may stand for a name of the catalogues.

Others are texts from outside, such as the names of files, and stay as they are.
"""
NONE = frozenset({"none", "nothing"})
"""Single words that stand for an empty list."""
FORMS = {"n": r"\d[\d,]*", "of": r"\d[\d,]*", "numbers": r"\d+(?:, \d+)*"}
"""Patterns of placeholders that only numbers stand for."""
_END = re.compile(r"(?<=[.?!]) ")
_NUMBER = re.compile(r"[±+-]?\d+(?:,\d{3})*(?:\.\d+)?(?: ?%)?")
_COUNTED = re.compile(r"(?P<name>\D+) (?P<n>\d+)")
_JOINED = re.compile(r"(, | or | and )")


@dataclass(frozen=True, slots=True)
class Template:
    """English text with placeholders, and how it is recognised."""

    text: str
    pattern: re.Pattern[str]
    literal: str
    """Longest part between placeholders."""
    size: int
    """Letters beside the placeholders."""
    signs: int
    """Characters beside the placeholders."""
    plural: bool
    """Whether the translation depends on the placeholder `n`."""

    @classmethod
    def of(cls, text: str, plural: bool) -> Template:
        pattern, literals, seen = "", [""], set()
        for literal, name, _, _ in Formatter().parse(text):
            pattern += re.escape(literal)
            literals.append(literal)
            if name is not None:
                pattern += f"(?P={name})" if name in seen else f"(?P<{name}>{_form(name)})"
                seen.add(name)
        letters = sum(char.isalpha() for literal in literals for char in literal)
        signs = sum(map(len, literals))
        return cls(text, re.compile(pattern, re.DOTALL), max(literals, key=len), letters, signs, plural)

    def values(self, text: str, long: bool) -> Mapping[str, str] | None:
        """Return the values of the placeholders; None if the text is another.

        `long`: whether a value may hold the end of a sentence.
        """
        if self.literal not in text or not (found := self.pattern.fullmatch(text)):
            return None
        values = found.groupdict()
        return values if long or not any(map(_END.search, values.values())) else None


def _form(name: str) -> str:
    """Return the pattern of a placeholder's values."""
    if name.startswith("option_"):
        return r"\S+"
    return FORMS.get(name, ".*?")


def said(text: str) -> str:
    """Return a finished English text in the language in use."""
    language = current()
    return text if language.is_source or not text else _said(text, language.code)


def english(text: str) -> str:
    """Return the English text where it must stand beside its translation.

    That is while no native reader has checked the translation, and empty otherwise.
    """
    return "" if current().is_checked else text


def guarded(text: str, translated: str | None = None) -> str:
    """Return a sentence that safety depends on.

    The English one follows in brackets. It is left out in English, and where a native reader checked the
    translation.

    Args:
        text: English sentence.
        translated: Its translation, if it is known already.
    """
    shown = said(text) if translated is None else translated
    return f"{shown} [{text}]" if english(text) and shown != text else shown


@lru_cache(4096)
def _said(text: str, code: str) -> str:
    with speaking(code) as language:
        return _text(text, language)


def _text(text: str, language: Language) -> str:
    if (whole := _ended(text, language)) is not None:
        return whole
    ends = [found.start() for found in _END.finditer(text)]
    for end in reversed(ends):
        if (head := _ended(text[:end], language)) is not None:
            return f"{head} {_text(text[end + 1 :], language)}"
    if ends and (whole := _sentence(text, language, long=True)) is not None:
        return whole
    head, colon, rest = text.partition(": ")
    if colon and rest and (tail := _text(rest, language)) != rest:
        known = _sentence(head, language) if " " in head else None
        return f"{known or head}{language.translations.gettext(': ')}{tail}"
    if ends:
        return f"{text[: ends[0]]} {_text(text[ends[0] + 1 :], language)}"
    return text


def _ended(text: str, language: Language) -> str | None:
    """Return the translation of a text, or of a text to which a full stop was added."""
    if (whole := _sentence(text, language)) is not None:
        return whole
    if text.endswith(".") and (whole := _sentence(text[:-1], language)) is not None:
        return f"{whole}{language.translations.gettext('.')}"
    return None


def _sentence(text: str, language: Language, *, long: bool = False) -> str | None:
    """Return the translation of a whole text.

    A catalogue must have the text as a whole.

    `long`: whether a value may hold the end of a sentence, as a list of reasons does.
    """
    entries = language.entries
    if (found := entries.get(text)) is not None:
        return found
    for template in _templates(language.code):
        if (values := template.values(text, long)) is None:
            continue
        shown = {name: _value(name, value, language) for name, value in values.items()}
        n = values.get("n", "").replace(",", "")
        if template.plural and n.isdecimal():
            form = language.translations.ngettext(template.text, template.text, int(n))
        else:
            form = entries.get(template.text) or entries[(template.text, 0)]
        return form.format(**shown)
    return None


@cache
def _templates(code: str) -> Sequence[Template]:
    """Return the templates of a language, the most particular first."""
    return sorted(_read(languages.load(code)), key=lambda template: (-template.size, -template.signs))


def _read(language: Language) -> Iterator[Template]:
    for key in language.entries:
        text, plural = (key[0], True) if isinstance(key, tuple) else (key, False)
        if key == (text, 1) or "{" not in text or "\x04" in text:
            continue
        template = Template.of(text, plural)
        if template.size >= LEAST_LETTERS:
            yield template


def _value(name: str, value: str, language: Language) -> str:
    """Return what stands for a placeholder in the form of the language."""
    if _NUMBER.fullmatch(value):
        return figure(value)
    if name in NAMED and (found := language.entries.get(f"{NAMES}\x04{value}")):
        return found
    if " " not in value:
        return language.entries.get(value, value) if value in NONE else value
    if value.startswith(" "):
        return f" {_value(name, value[1:], language)}"
    if (found := _list(name, value, language)) is not None:
        return found
    return _text(value, language)


def _list(name: str, value: str, language: Language) -> str | None:
    """Return a list whose parts a catalogue has.

    An example is "blasts, promonocytes or plasma cells".
    """
    if "; " in value:
        parts = [_text(part, language) for part in value.split("; ")]
        return language.translations.gettext("; ").join(parts)
    if name not in NAMED:
        return None
    shown = []
    for place, part in enumerate(_JOINED.split(value)):
        if place % 2:
            shown.append(language.translations.gettext(part))
            continue
        counted = _COUNTED.fullmatch(part)
        found = language.entries.get(f"{NAMES}\x04{counted['name'] if counted else part}")
        if found is not None:
            shown.append(f"{found} {counted['n']}" if counted else found)
        elif (sentence := _sentence(part, language)) is not None:
            shown.append(sentence)
        else:
            return None
    return "".join(shown)
