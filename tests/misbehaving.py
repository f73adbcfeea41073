"""A worker of the campaign with kinds of its own, one for each fault that the campaign must see. Run by `test_fuzz`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from fuzz import kinds, worker

from edgeleuk.errors import InputError


def raising(_: bytes, __: Path) -> None:
    raise IndexError("nobody foresaw it")


def aborting(_: bytes, __: Path) -> None:
    os.abort()


def hanging(_: bytes, __: Path) -> None:
    time.sleep(600)


def growing(_: bytes, __: Path) -> None:
    assert bytearray(600_000_000)[-1] == 0


def speaking(_: bytes, __: Path) -> None:
    os.write(2, b"libjpeg: what a picture\n")


class UnescapedError(InputError):
    __str__ = Exception.__str__


def moving_the_cursor(_: bytes, __: Path) -> None:
    raise UnescapedError("it says \x1b[2J.")


def refusing(_: bytes, __: Path) -> None:
    raise InputError("it is damaged. Copy it again.")


def reading(_: bytes, __: Path) -> None:
    """Nothing is wrong."""


def _nothing(_: Random) -> bytes:
    return b""


EACH: tuple[Callable[[bytes, Path], None], ...] = (
    raising, aborting, hanging, growing, speaking, moving_the_cursor, refusing, reading,
)  # fmt: skip

if __name__ == "__main__":
    kinds.KINDS |= {each.__name__: kinds.Kind(_nothing, each, 1) for each in EACH}  # type: ignore[misc]
    worker.serve()
