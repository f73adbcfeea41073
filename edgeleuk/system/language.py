"""Language of screens, pages and reports.

English is the source: the English text is its own key in the catalogues `edgeleuk/locale/*.mo` (gettext,
written by `python deploy/catalogues.py` from the `.po` files). Results that are kept, JSON and CSV stay
English; a text is translated where it is shown. Display code writes its texts with `_`, `ngettext` and
`word`; finished English sentences from below are recognised by `edgeleuk.system.sentences`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

LOCALE = Path(__file__).parents[1] / "locale"
ENVIRONMENT = ("EDGELEUK_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
"""Environment variables for the language, the first that is set counts."""
SOURCE = "en"
NAMES = "name"
"""Context of names in the catalogues: cell types, attributes, codes and groups."""
_YEAR = re.compile(r"[-/. ]?%Y[-/. ]?")
_FIGURE = re.compile(r"(\d+(?:,\d{3})*(?:\.\d+)?)( ?%)?")


@dataclass(frozen=True, slots=True)
class Language:
    """One language with its translations and customs."""

    code: str
    name: str
    """Name in the language itself."""
    checked_by: str = ""
    """Native reader who checked the translation; empty if nobody did."""
    direction: str = "ltr"
    decimal: str = "."
    group: str = ","
    percent: str = "%"
    """Percent sign with the space before it."""
    date: str = "%Y-%m-%d"
    translations: NullTranslations = field(default_factory=NullTranslations, repr=False)

    @property
    def is_source(self) -> bool:
        return self.code == SOURCE

    @property
    def is_checked(self) -> bool:
        """Whether its sentences may stand without the English ones."""
        return self.is_source or bool(self.checked_by)

    @property
    def entries(self) -> Mapping[str | tuple[str, int], str]:
        """Translations by English text; with the form's number for plural texts."""
        # The one place where gettext keeps what it has read; a test fails if that changes.
        return vars(self.translations).get("_catalog", {})


ENGLISH = Language(SOURCE, "English")
_process = ENGLISH
_of_request: ContextVar[Language | None] = ContextVar("language", default=None)


@cache
def codes() -> tuple[str, ...]:
    """Return the codes of all languages, English first."""
    return (SOURCE, *sorted(path.stem for path in LOCALE.glob("*.mo")))


@cache
def load(code: str) -> Language:
    """Load a language of `codes()`."""
    if code == SOURCE:
        return ENGLISH
    with (LOCALE / f"{code}.mo").open("rb") as file:
        translations = GNUTranslations(file)
    about = {name.casefold(): value for name, value in translations.info().items()}
    return Language(
        code,
        about.get("x-language-name", code),
        about.get("x-checked-by", ""),
        about.get("x-direction", "ltr"),
        about.get("x-decimal", "."),
        about.get("x-group", ",").replace("NBSP", "\N{NO-BREAK SPACE}"),
        about.get("x-percent", "%").replace("NBSP", "\N{NO-BREAK SPACE}"),
        about.get("x-date", "%Y-%m-%d"),
        translations,
    )


def match(wanted: str) -> str | None:
    """Return the code for a locale's name, such as "fr" for "fr_CM.UTF-8".

    None if there is no such language.
    """
    name = wanted.partition(".")[0].partition("@")[0].replace("-", "_").lower()
    if name in ("c", "posix"):
        return SOURCE
    return next((code for code in (name, name.partition("_")[0]) if code in codes()), None)


def from_environment(environment: Mapping[str, str] = os.environ) -> str:
    """Return the code that the environment asks for, or English."""
    named = next((environment[name] for name in ENVIRONMENT if environment.get(name)), SOURCE)
    return match(named) or SOURCE


def use(code: str) -> None:
    """Set the language of this process."""
    global _process
    _process = load(code)


@contextmanager
def speaking(code: str) -> Iterator[Language]:
    """Set the language of one request, or of a block."""
    token = _of_request.set(load(code))
    try:
        yield current()
    finally:
        _of_request.reset(token)


def current() -> Language:
    """Return the language of this request, or of the process."""
    return _of_request.get() or _process


def _(text: str) -> str:
    """Return the translation of a text."""
    return current().translations.gettext(text) if text else ""


def ngettext(one: str, many: str, n: int) -> str:
    """Return the translation of a text that depends on a number."""
    return current().translations.ngettext(one, many, n)


def pgettext(context: str, text: str) -> str:
    """Return the translation of a short text that has other meanings elsewhere."""
    return current().translations.pgettext(context, text)


def msgid(text: str) -> str:
    """Mark a text for the catalogues, as in tables.

    `_` translates it where it is shown.
    """
    return text


def word(name: str) -> str:
    """Return the translation of a name.

    A name is a cell type, an attribute, a code or a group.
    """
    return pgettext(NAMES, name) if name else ""


def figure(text: str) -> str:
    """Return a text with its numbers as the language writes them.

    The numbers are those of Python's formatting, such as "1,234.5" and "98%".
    """
    language = current()
    if (language.decimal, language.group, language.percent) == (".", ",", "%"):
        return text
    return _FIGURE.sub(lambda found: _figure(found[1], found[2] or "", language), text)


def _figure(number: str, percent: str, language: Language) -> str:
    whole, point, rest = number.partition(".")
    sign = language.percent if percent and language.percent != "%" else percent
    return whole.replace(",", language.group) + (language.decimal + rest if point else "") + sign


def day(at: datetime) -> str:
    """Return the day and the month as the language writes them, without the year."""
    if current().is_source:
        return f"{at:%d %b}"
    return at.strftime(_YEAR.sub("", current().date))


def date(at: datetime) -> str:
    """Return a date as the language writes it."""
    return f"{at:{current().date}}"
