"""Early exit from executors."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeVar

E = TypeVar("E", bound=Executor)


@contextmanager
def leaving(pool: E) -> Iterator[E]:
    """Cancel pending work of an executor on error or Ctrl-C.

    By default an executor first finishes all submitted work: the other 4,000 pictures.
    """
    with pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
