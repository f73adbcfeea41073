"""Exceptions for the user, with exit codes.

Every error a user can meet is one of these. A message says what happened, what exists, and what to do.

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
├── QualityError             exit 10  a picture is too poor, or no smear the models know; --force overrides
├── ControlError             exit 11  a control slide failed, is overdue, or could not be evaluated
├── ClusterError             exit 12  the workers of a batch cannot be reached, are lost, or cannot count
└── NotBetterError           exit 13  a taught or adapted model would be no better; nothing is written

Errors of other libraries are translated once, in the module that imports the library.
"""

from __future__ import annotations

from typing import Any

from edgeleuk._text import message


class EdgeleukError(Exception):
    """Base of all errors meant for the user.

    `str(error)` is one or two clear sentences. A message quotes names of files, and what servers and
    libraries say: `str` escapes characters that control a terminal.
    """

    exit_code = 1

    def __str__(self) -> str:
        return message(super().__str__())


class UnforeseenError(EdgeleukError):
    """An unexpected fault of this program or of a library.

    `faults` gives it a reference for support.
    """


class UsageError(EdgeleukError):
    """The request names something unknown, or combines incompatible options."""

    exit_code = 2


class InputError(EdgeleukError):
    """An input cannot be opened or has unexpected content."""

    exit_code = 3


class NotAnImageError(InputError):
    """A file cannot be decoded as a supported picture."""


class RecordError(InputError):
    """A kept result is damaged, or of a newer edgeleuk."""


class ModelError(EdgeleukError):
    """A model folder cannot be used."""

    exit_code = 4


class ModelMissingError(ModelError):
    """A model, or a file of it, is missing.

    There is no model for the magnification, or a file of it is absent.
    """


class ModelAlteredError(ModelError):
    """A model file differs from the checksum in its manifest."""


class ScaleError(EdgeleukError):
    """Micrometres per pixel cannot be derived from the picture."""

    exit_code = 5


class OutputError(EdgeleukError):
    """A result could not be written."""

    exit_code = 6


class MissingExtraError(EdgeleukError):
    """A required optional dependency is not installed."""

    exit_code = 7


class CameraError(EdgeleukError):
    """A camera or stream cannot be opened.

    Also raised if it stopped giving pictures.
    """

    exit_code = 8


class NoPictureYetError(CameraError):
    """A camera has given no picture for a while.

    The next read goes on waiting for it.
    """


class StoreError(EdgeleukError):
    """A session's file cannot be opened, read or written.

    What was announced as counted is still in it.
    """

    exit_code = 9


class DamagedError(StoreError):
    """A part of a session's file is damaged.

    A failing disk may be the cause. The other parts can be read.
    """


class DiskFullError(StoreError):
    """The disk has too little free space to write more.

    What was written is kept, and writing works again with more space.
    """


class QualityError(EdgeleukError):
    """A picture is refused.

    It is too poor to be counted, or no blood smear that the models know.
    """

    exit_code = 10

    def __init__(self, text: str, findings: tuple[Any, ...] = ()) -> None:
        """Keep the findings behind the refusal.

        `findings`: every `types.Finding` about the picture, also those that only warn.
        """
        super().__init__(text)
        self.findings = findings


class ControlError(EdgeleukError):
    """A control slide failed, is overdue, was never counted, or could not be evaluated."""

    exit_code = 11


class ClusterError(EdgeleukError):
    """The workers of a batch cannot be used.

    They cannot be reached, are lost, or one of them cannot count. What is done is kept.
    """

    exit_code = 12


class NotBetterError(EdgeleukError):
    """A taught or adapted model is no better than its parent.

    Nothing is written.
    """

    exit_code = 13
