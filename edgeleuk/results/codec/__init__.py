"""Lossless binary format for fields, tallies and results.

A record is a MessagePack envelope with the kind and version of its content (such as "edgeleuk-field/1") and a
checksum of that content. Numbers are restored bit by bit (MessagePack has infinities and NaN, JSON does not),
mappings keep their order, and reading a record never runs code from it. Cells are stored as compressed
columns, see `_cells`. Equal values give equal bytes.

Increase VERSION whenever a part is added, even an optional one: a program that does not know a part must not
silently drop it. Older versions stay readable because added parts have defaults.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import msgspec
import numpy as np

from edgeleuk.errors import InputError, RecordError
from edgeleuk.results.codec import _parts
from edgeleuk.results.slide_result import SlideResult
from edgeleuk.system import file_io
from edgeleuk.types import CountedField, Field, Refusal, Tally

T = TypeVar("T", Field, CountedField, Tally, Refusal, SlideResult)

VERSION = 5
DEFLATION = 1
"""zlib compression level: the fastest.

Higher levels save only a few per cent.
"""
MOST_BYTES = 1 << 30
"""Maximum size of a decompressed body, bytes.

A slide of 53,000 cells has 7 million.
"""
ESCAPE = "\x1a"
"""Prefix of an escaped character that UTF-8 cannot encode.

Four hexadecimal digits follow it. Such characters occur in file names whose bytes are not valid text.
"""
_MALFORMED = (
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    AttributeError,
    MemoryError,
    RecursionError,
)
_UNENCODABLE = re.compile(f"[{ESCAPE}\ud800-\udfff]")
_ESCAPED = re.compile(f"{ESCAPE}([0-9a-f]{{4}})")


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    wire: Any
    """msgspec type with `of` and `value`."""


KINDS: Mapping[type, _Kind] = {
    Field: _Kind("edgeleuk-field", _parts.FieldPart),
    CountedField: _Kind("edgeleuk-counted-field", _parts.CountedPart),
    Tally: _Kind("edgeleuk-tally", _parts.TallyPart),
    Refusal: _Kind("edgeleuk-refusal", _parts.RefusalPart),
    SlideResult: _Kind("edgeleuk-result", _parts.ResultPart),
}


class _Envelope(msgspec.Struct, frozen=True):
    schema: str
    checksum: int = 0
    """CRC-32 of `content`."""
    content: bytes = b""


class _Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: int
    """Size of the decompressed body, bytes."""
    body: bytes
    has_escapes: bool = msgspec.field(default=False, name="odd")
    """Whether body texts contain ESCAPE sequences."""
    pictures: tuple[bytes, ...] = ()
    """JPEG images of cells, kept outside the body.

    zlib would not make them smaller. The body says which cell each image shows.
    """


def encode(value: Field | CountedField | Tally | Refusal | SlideResult) -> bytes:
    """Encode a value as bytes.

    Raises:
        RecordError: A number in the value is out of range.
    """
    kind = KINDS[type(value)]
    pictures: list[bytes] = []
    try:
        part = kind.wire.of(value, pictures)
        part.check()
        body, has_escapes = _body(part)
    except (ValueError, TypeError, OverflowError, msgspec.MsgspecError) as error:
        raise RecordError(f"this cannot be written down: {error}. It is a fault of the program.") from error
    content = msgspec.msgpack.encode(
        _Content(len(body), zlib.compress(body, DEFLATION), has_escapes, tuple(pictures))
    )
    return msgspec.msgpack.encode(_Envelope(f"{kind.name}/{VERSION}", zlib.crc32(content), content))


def decode(data: bytes, kind: type[T]) -> T:
    """Decode a value that `encode` wrote.

    Raises:
        RecordError: The bytes are damaged, hold another kind, or were written by a newer edgeleuk.
    """
    wanted = KINDS[kind]
    try:
        envelope = msgspec.msgpack.decode(data, type=_Envelope)
        _check_schema(envelope.schema, wanted.name)
        if zlib.crc32(envelope.content) != envelope.checksum:
            raise ValueError("its checksum is another one")
        content = msgspec.msgpack.decode(envelope.content, type=_Content)
        part = _part(_inflated(content), wanted.wire, content.has_escapes)
        part.check()
        return cast(T, part.value(iter(content.pictures)))
    except (*_MALFORMED, StopIteration, zlib.error, msgspec.MsgspecError) as error:
        _refuse(str(error))


def read_result(path: Path) -> SlideResult:
    """Read a slide's result from a file.

    `edgeleuk sessions export` writes such files.

    Raises:
        InputError: The file cannot be read.
        RecordError: The file is damaged; a subclass of InputError.
    """
    try:
        data = file_io.read_bytes(path, MOST_BYTES)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from error
    try:
        return decode(data, SlideResult)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error


def _refuse(flaw: str) -> NoReturn:
    raise RecordError(f"the record is damaged: {flaw}. Take it from where it was written, or a copy of it.")


def _check_schema(schema: str, name: str) -> None:
    theirs, _, version = schema.partition("/")
    if theirs != name or not version.isdecimal():
        _refuse(f"it should hold {name}, and says {schema[:60]!r}")
    if int(version) > VERSION:
        raise RecordError(
            f"the record was written by a newer edgeleuk ({schema[:60]}; this one reads up to {name}/{VERSION}). "
            "Update edgeleuk."
        )


def _body(part: msgspec.Struct) -> tuple[bytes, bool]:
    try:
        return msgspec.msgpack.encode(part, enc_hook=_plain), False
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(part, builtin_types=(bytes,), enc_hook=_plain)
        return msgspec.msgpack.encode(_escaped(plain)), True


def _part(body: bytes, wire: Any, has_escapes: bool) -> Any:
    if not has_escapes:
        return msgspec.msgpack.decode(body, type=wire)
    return msgspec.convert(_unescaped(msgspec.msgpack.decode(body)), wire)


def _inflated(content: _Content) -> bytes:
    """Decompress a body, at most to its stated size.

    A manipulated record therefore cannot expand beyond the size that it states.
    """
    if not 0 <= content.size <= MOST_BYTES:
        raise ValueError(f"it has {content.size} bytes")
    unpacking = zlib.decompressobj()
    body = unpacking.decompress(content.body, content.size + 1)
    if len(body) != content.size or not unpacking.eof:
        raise ValueError("it ends early, or later than it says")
    return body


def _plain(value: Any) -> Any:
    """Convert NumPy scalars and other mappings for msgspec."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no part of a record")


def _escaped(value: Any) -> Any:
    return _each_text(
        value, lambda text: _UNENCODABLE.sub(lambda found: f"{ESCAPE}{ord(found[0]):04x}", text)
    )


def _unescaped(value: Any) -> Any:
    return _each_text(value, lambda text: _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text))


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """Apply `change` to every text in nested plain values."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {_each_text(key, change): _each_text(each, change) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_each_text(each, change) for each in value]
    return value
