"""Executors that can be left early."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeVar

E = TypeVar("E", bound=Executor)


@contextmanager
def leaving(pool: E) -> Iterator[E]:
    """Start no more work in an executor after an error or Ctrl-C.

    By itself it would first do all that was asked of it: the other 4,000 pictures.
    """
    with pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
