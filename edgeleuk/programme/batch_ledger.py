"""Folder of a batch.

It holds results, journals of what is done, and the table of all slides.

A slide's result is written whole, then a line of the journal says that it is done. What ends the program in between costs
that slide, which is counted again. One program writes a journal; the parts of a batch (`Shard`) have one each.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edgeleuk._text import readable
from edgeleuk.errors import OutputError, UsageError
from edgeleuk.programme.batch_slides import Shard, Slide
from edgeleuk.render import slides_table
from edgeleuk.render._csv import csv_text
from edgeleuk.system import file_io
from edgeleuk.system.result_marks import MARKER as OTHER_RESULTS
from edgeleuk.system.wording import option

MARKER = ".edgeleuk-batch.json"
"""Name of the file that says which batch a folder holds."""
LOCK = ".edgeleuk-batch.lock"
SCHEMA = "edgeleuk-batch-folder/1"
JOURNALS = "journal"
TABLE = "slides.csv"
ROWS_AT_ONCE = 1000
"""Rows of the table that are in memory together."""
MOST_LINE = 1_000_000
"""Maximum bytes of a journal's line; a row has about 1,500."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Outcome of a slide in a journal."""

    inputs: str
    """Key of the pictures that were counted, see `inputs_key`."""
    code: int
    """Exit code; 0 for a counted slide."""
    whole: bool
    """Whether a result was written; there is none of a slide that ended its process."""
    journal: int
    """Number of the journal, and the place of the line in it."""
    at: int


class Ledger:
    """Results of a batch in a folder, as a context manager.

    Not for several threads.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], shard: Shard | None = None) -> None:
        """Claim the folder for a batch.

        Args:
            folder: Existing folder for the results.
            settings: What all results depend on, as plain values.
            shard: Part of the batch that this program counts; None for all.

        Raises:
            UsageError: Another result, another batch or other settings have the folder.
            OutputError: Another program counts into it, or it cannot be written.
        """
        self.folder, self._shard = folder, shard
        self._locks: list[int] = []
        self._journals: list[Path] = []
        self._done: dict[str, Entry] = {}
        self._own: int | None = None
        try:
            self._claim(settings)
            self._lock(folder / LOCK, shared=shard is not None)
            own = folder / JOURNALS / f"{shard or 'all'}.jsonl"
            own.parent.mkdir(exist_ok=True)
            self._own = os.open(own, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            if shard:
                self._lock(own, shared=False)
            self._read_journals(own)
        except OSError as error:
            self.close()
            raise self._unwritable(error) from error
        except BaseException:
            self.close()
            raise

    @property
    def table(self) -> Path:
        """Path of the table with a row for each slide."""
        return self.folder / (f"slides-{self._shard}.csv" if self._shard else TABLE)

    def entry(self, slide: Slide) -> Entry | None:
        """Return a slide's outcome.

        None if it has none, or its result is gone.
        """
        found = self._done.get(slide.id)
        if found and found.whole and not file_io.is_regular(self.folder / slide.file):
            return None
        return found

    def add(self, slide: Slide, inputs: str, row: Mapping[str, Any], content: bytes) -> None:
        """Write a slide's outcome.

        Args:
            slide: The slide.
            inputs: Key of its pictures.
            row: Its row of the table.
            content: Its result; empty where there is none.

        Raises:
            OutputError: It cannot be written; the slide then has no outcome.
        """
        assert self._own is not None
        try:
            if content:
                path = self.folder / slide.file
                path.parent.mkdir(parents=True, exist_ok=True)
                file_io.write_whole(path, content)
            told = {"slide": slide.id, "inputs": inputs, "whole": bool(content), "row": row}
            at = self._append(json.dumps(told).encode() + b"\n")
        except OSError as error:
            raise self._unwritable(error) from error
        self._done[slide.id] = Entry(inputs, row["exit_code"], bool(content), len(self._journals) - 1, at)

    def write_table(self, slides: Iterable[Slide]) -> int:
        """Write the table of the slides that have an outcome.

        Returns the number of its rows.

        Raises:
            OutputError: It cannot be written.
        """
        entries = [entry for each in slides if (entry := self.entry(each))]
        names = slides_table.columns(self._rows(entries))
        try:
            file_io.write_whole(self.table, _table(names, self._rows(entries)))
        except OSError as error:
            raise self._unwritable(error) from error
        return len(entries)

    def close(self) -> None:
        for descriptor in (*self._locks, *(() if self._own is None else (self._own,))):
            os.close(descriptor)
        self._locks, self._own = [], None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _claim(self, settings: Mapping[str, Any]) -> None:
        """Write the marker, or compare the one that is there."""
        path = self.folder / MARKER
        if file_io.is_absent(path):
            if others := [each for each in (OTHER_RESULTS, TABLE) if (self.folder / each).exists()]:
                raise UsageError(f"{self.folder} holds {others[0]} of another result. {_elsewhere()}")
            started = datetime.now().astimezone().isoformat(timespec="seconds")
            told = {"schema": SCHEMA, "started": started, "settings": _plain(settings)}
            text = json.dumps(told, indent=2) + "\n"
            # Not replaced: of several programs that begin at once, the first one decides.
            with suppress(FileExistsError):
                _write_once(path, text.encode())
        try:
            before = file_io.read_json(path)
            if before["schema"] != SCHEMA:
                raise UsageError(f"{self.folder} holds a batch of another edgeleuk. {_elsewhere()}")
            known = dict(before["settings"])
        except (file_io.UnreadableError, KeyError, TypeError, ValueError) as error:
            raise OutputError(f"{path} is damaged. {_elsewhere()}") from error
        now = _plain(settings)
        if other := [name for name in {**known, **now} if known.get(name) != now.get(name)]:
            said = ", ".join(f"{name} {known.get(name)}, now {now.get(name)}" for name in other)
            raise UsageError(f"{self.folder} holds a batch with other settings ({said}). {_elsewhere()}")

    def _lock(self, path: Path, *, shared: bool) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        self._locks.append(descriptor)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"another program is counting into {self.folder}. Let it finish, or end it, then try again."
            ) from error
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):  # a file system without locks
                raise

    def _read_journals(self, own: Path) -> None:
        """Read what is done; this program's own journal comes last."""
        others = [each for each in file_io.listed(own.parent, "*.jsonl") if each != own]
        self._journals = [*others, own]
        assert self._own is not None
        for number, path in enumerate(self._journals):
            with path.open("rb") as file:
                end = 0
                for line in iter(lambda: file.readline(MOST_LINE), b""):
                    if not line.endswith(b"\n"):
                        break  # cut by a full disk or a power cut
                    with suppress(ValueError, KeyError, TypeError):
                        told = file_io.parse_json(line)
                        code = int(told["row"]["exit_code"])
                        self._done[told["slide"]] = Entry(told["inputs"], code, told["whole"], number, end)
                    end += len(line)
        os.ftruncate(self._own, end)
        os.lseek(self._own, 0, os.SEEK_END)

    def _append(self, line: bytes) -> int:
        """Append a line to the journal and return its place.

        Raises:
            OSError: It cannot be written; the journal is then as before.
        """
        assert self._own is not None
        at = os.lseek(self._own, 0, os.SEEK_END)
        try:
            if os.write(self._own, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._own)
        except OSError:
            os.ftruncate(self._own, at)
            raise
        return at

    def _rows(self, entries: Iterable[Entry]) -> Iterator[dict[str, Any]]:
        """Yield rows from the journals.

        They are not kept in memory: a million have a gigabyte.
        """
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("rb")) for path in self._journals]
            for each in entries:
                files[each.journal].seek(each.at)
                yield file_io.parse_json(files[each.journal].readline(MOST_LINE))["row"]

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"cannot write into {self.folder}: {error.strerror}. What is done is kept: free some space or correct the "
            "permissions, then run the same command again."
        )


def _write_once(path: Path, content: bytes) -> None:
    """Write a whole file, unless there is one.

    Raises:
        FileExistsError: There is one.
    """
    whole = path.with_name(f"{path.name}.{os.getpid()}")
    file_io.write_whole(whole, content)
    try:
        os.link(whole, path)
    except FileExistsError:
        raise
    except OSError:  # no hard links on a memory card
        file_io.write_new(path, content)
    finally:
        whole.unlink(missing_ok=True)


def _table(names: tuple[str, ...], rows: Iterator[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield the table in parts."""
    yield csv_text([names]).encode()
    while some := list(islice(rows, ROWS_AT_ONCE)):
        yield readable(csv_text([each.get(name) for name in names] for each in some)).encode()


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as JSON keeps them."""
    return {name: readable(value) if isinstance(value, str) else value for name, value in settings.items()}


def _elsewhere() -> str:
    return f"Name another folder by {option('out')}."
