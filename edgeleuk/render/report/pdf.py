"""Report as PDF: the HTML page, printed by WeasyPrint.

WeasyPrint is an extra, imported when a PDF is asked for. It gets what the page holds, and nothing from the disk
or the network.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from edgeleuk.errors import MissingExtraError, OutputError
from edgeleuk.render.typography import BY_FIRST_LETTER, END, LEFT_TO_RIGHT

INSTALL = "pip install 'edgeleuk[pdf]'"
FONTS = "sudo apt install fonts-noto-core"
PANGO = "sudo apt install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core"

_OTHER_SCRIPTS = re.compile("[\u0250-\u1fff\u2c00-\U0010ffff]")
"""Characters that some fonts lack.

They are neither Latin letters nor punctuation and symbols.
"""

_MARK = "\u200e"
"""Left-to-right mark, a letter without width (Unicode Standard Annex 9, 2.6)."""
_DIRECTED = re.compile(f"([{LEFT_TO_RIGHT}{BY_FIRST_LETTER}])([^{LEFT_TO_RIGHT}-{END}]*){END}")
_PLACE = re.compile(r"\s+|&#?\w+;|[^\w\s]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdcf\ufdf0-\ufefc]")


def is_installed() -> bool:
    """Return whether the extra is installed, without loading it."""
    try:
        return find_spec("weasyprint") is not None
    except ValueError:  # a module that was made unavailable
        return False


def require() -> None:
    """Check that PDF can be printed, before hours of work.

    Raises:
        MissingExtraError: WeasyPrint, or the library Pango that it draws text with, is not installed.
    """
    _library()


def pdf(html: str, on_box: Callable[[str], object] | None = None) -> bytes:
    """Print a page as PDF, A4.

    Equal pages give equal bytes.

    Args:
        html: Page.
        on_box: Called with each character that no font of this machine has, which is printed as a box.

    Raises:
        MissingExtraError: WeasyPrint, or the library Pango that it draws text with, is not installed.
        OutputError: The page holds a reference to something outside it.
    """
    html_class, fetcher_class, fatal = _library()
    fetcher = fetcher_class(allowed_protocols=["data"], fail_on_errors=True, allow_redirects=False)
    identifier = hashlib.sha256(html.encode()).digest()[:16]
    try:
        with _boxes_told(on_box or (lambda _: None)):
            return bytes(
                html_class(string=_marked(html), url_fetcher=fetcher).write_pdf(pdf_identifier=identifier)
                or b""
            )
    except fatal as error:
        raise OutputError("the report refers to something outside it, and is not printed.") from error


def box_warning(characters: Iterable[str]) -> str:
    """Return a warning of characters that the PDF shows as boxes.

    Empty for none.
    """
    letters = ", ".join(f"U+{ord(each):04X}" for each in sorted(characters))
    if not letters:
        return ""
    return f"no font of this machine has {letters}: the PDF shows boxes instead. Install fonts: `{FONTS}`"


def boxes(text: str) -> str:
    """Return the characters of a text that no font has.

    The fonts are those of this machine. Characters beyond Latin letters and punctuation are tried. Empty where no PDF can be printed.
    """
    tried = "".join(sorted(set(_OTHER_SCRIPTS.findall(text))))
    return _boxes(tried) if tried else ""


@lru_cache(64)
def _boxes(characters: str) -> str:
    found: set[str] = set()
    try:
        pdf(" ".join(characters), found.add)
    except MissingExtraError:
        return ""
    return "".join(sorted(found))


def _marked(html: str) -> str:
    """Return a page whose parts keep their direction on every line.

    WeasyPrint sets each line by itself: after a break it knows no mark at the beginning of a part. Marks at every place
    where a line may begin or end do what that one did.
    """

    def marked(found: re.Match[str]) -> str:
        start, text = found.groups()
        if _RIGHT_TO_LEFT.search(text):
            return found[0]
        return f"{start}{_MARK}{_PLACE.sub(lambda each: f'{_MARK}{each[0]}{_MARK}', text)}{END}"

    return _DIRECTED.sub(marked, html)


class _Boxes(logging.Handler):
    """Hears which characters WeasyPrint prints as boxes; it says so in its log alone."""

    def __init__(self, on_box: Callable[[str], object]) -> None:
        super().__init__()
        self._on_box = on_box

    def emit(self, record: logging.LogRecord) -> None:
        if str(record.msg).startswith(".notdef") and isinstance(record.args, tuple):
            self._on_box(str(record.args[0]))


@contextmanager
def _boxes_told(on_box: Callable[[str], object]) -> Iterator[None]:
    log, handler = logging.getLogger("weasyprint"), _Boxes(on_box)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def _library() -> tuple[Any, Any, Any]:
    """Return WeasyPrint's classes.

    They are the page, the fetcher of what a page refers to, and the error of that.
    """
    # Its remarks on style sheets are for their authors: they reach no handler but ours.
    logging.getLogger("weasyprint").propagate = False
    try:
        from weasyprint import HTML
        from weasyprint.urls import FatalURLFetchingError, URLFetcher
    except ImportError as error:
        raise MissingExtraError(f"a PDF needs the extra `pdf`. Install it: {INSTALL}") from error
    except OSError as error:
        raise MissingExtraError(
            f"WeasyPrint is installed, and the library Pango that it needs is not. Install it: {PANGO}"
        ) from error
    return HTML, URLFetcher, FatalURLFetchingError
