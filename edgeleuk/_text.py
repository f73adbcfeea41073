"""Bytes as text, also where they are not UTF-8.

Such bytes come from the names of files, and from the command line of an old system.
"""

from __future__ import annotations


def readable(text: str) -> str:
    r"""A text that UTF-8 can hold. A byte that is no text stands as \xff.

    Python keeps such a byte as half of a surrogate pair, which opens the file again and cannot be written down. In a locale
    without an encoding, as C, it keeps every letter beyond ASCII so.
    """
    if text.isascii():
        return text
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a half that stands for no byte, as JSON can hold it
        raw = text.encode("utf-8", "surrogatepass")
    return raw.decode("utf-8", "backslashreplace")


def tamed(text: str, most: int = 100) -> str:
    """A text of somebody else on one line of at most `most` characters, without what controls a terminal."""
    plain = "".join(char if char.isprintable() else " " for char in readable(text))
    short = " ".join(plain.split())
    return short if len(short) <= most else f"{short[: most - 3]}..."
