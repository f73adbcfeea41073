"""Sentences for pages, with the English ones that must stand beside them."""

from __future__ import annotations

from markupsafe import Markup, escape

from edgeleuk._text import escaped
from edgeleuk.render._words import with_micro
from edgeleuk.system.sentences import english, said


def guarded_markup(text: str) -> Markup:
    """Return a sentence that safety depends on, as markup.

    The English one stands beside it until the translation is checked.
    """
    shown = said(text)
    part = escape(with_micro(escaped(shown)))
    if shown == text or not english(text):
        return part
    beside = Markup(' <span class="english" lang="en" dir="ltr">{}</span>')
    return part + beside.format(with_micro(escaped(text)))
