"""Every error a user can meet. A message says what happened, what exists, and what to do.

EdgeleukError                exit 1
├── UnforeseenError          exit 1   a fault of the program, or of a library it uses
├── UsageError               exit 2   the request cannot be carried out as written
├── InputError               exit 3   a picture, folder or table cannot be read
│   ├── NotAnImageError
│   └── RecordError              a kept result is damaged, or a newer edgeleuk wrote it
├── ModelError               exit 4   a model folder is missing, altered or of another version
│   ├── ModelMissingError
│   └── ModelAlteredError
├── ScaleError               exit 5   micrometres per pixel cannot be told from this picture
├── OutputError              exit 6   a result cannot be written
├── MissingExtraError        exit 7   an optional part is not installed
├── CameraError              exit 8   a camera or stream cannot be opened, or gives no pictures
│   └── NoPictureYetError
├── StoreError               exit 9   a session cannot be opened, read or written
│   ├── DamagedError          a part of the file is damaged; the rest can be read
│   └── DiskFullError
└── QualityError             exit 10  a picture is too poor, or no smear the models know; --force overrides

Errors of other libraries are translated once, in the module that imports the library.
"""

from __future__ import annotations

from typing import Any

from edgeleuk._text import message


class EdgeleukError(Exception):
    """Base of all errors meant for the user. `str(error)` is one clear sentence or two.

    A message quotes names of files, and what servers and libraries say: `str` escapes what steers a terminal.
    """

    exit_code = 1

    def __str__(self) -> str:
        return message(super().__str__())


class UnforeseenError(EdgeleukError):
    """A fault that nobody foresaw, of this program or of a library; `faults` gives it a reference for support."""


class UsageError(EdgeleukError):
    """The request names something that does not exist or does not go together."""

    exit_code = 2


class InputError(EdgeleukError):
    """An input cannot be opened, or holds something else than expected."""

    exit_code = 3


class NotAnImageError(InputError):
    """A file could not be decoded as a picture this program can analyse."""


class RecordError(InputError):
    """A result that was written down is damaged, or of a newer edgeleuk."""


class ModelError(EdgeleukError):
    """A model folder cannot be used."""

    exit_code = 4


class ModelMissingError(ModelError):
    """No model for this magnification, or a file of it is absent."""


class ModelAlteredError(ModelError):
    """A model file differs from the checksum in its manifest."""


class ScaleError(EdgeleukError):
    """Micrometres per pixel cannot be told from the picture."""

    exit_code = 5


class OutputError(EdgeleukError):
    """A result could not be written."""

    exit_code = 6


class MissingExtraError(EdgeleukError):
    """An optional dependency is needed and absent."""

    exit_code = 7


class CameraError(EdgeleukError):
    """A camera or stream cannot be opened, or stopped giving pictures."""

    exit_code = 8


class NoPictureYetError(CameraError):
    """A camera is there and has given no picture for a while; the next read goes on waiting for it."""


class StoreError(EdgeleukError):
    """A session's file cannot be opened, read or written; what was announced as counted is still in it."""

    exit_code = 9


class DamagedError(StoreError):
    """A part of a session's file is damaged, as by a failing disk; what lies elsewhere in it can be read."""


class DiskFullError(StoreError):
    """Too little of the disk is free to write more; what was written is kept, and writing works again with space."""


class QualityError(EdgeleukError):
    """A picture is refused: too poor to be counted, or no blood smear that the models know."""

    exit_code = 10

    def __init__(self, text: str, findings: tuple[Any, ...] = ()) -> None:
        """`findings`: every `types.Finding` about the picture, also those that only warn."""
        super().__init__(text)
        self.findings = findings
