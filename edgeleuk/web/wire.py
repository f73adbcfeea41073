"""Messages between the server and the process that analyses pictures.

A message is a JSON header with the sizes of the byte strings that follow it. Nothing in it is ever run: the process may
have been taken over by what it decoded.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgeleuk.system import file_io

MOST_HEADER = 1_000_000
MOST_BLOB = 64_000_000
"""Maximum bytes of one byte string: a counted field with 50,000 cells has 5 MB."""
_HEAD = struct.Struct(">II")


class BrokenError(Exception):
    """The other end is gone, or does not keep to the form."""


@dataclass(frozen=True, slots=True)
class Told:
    """Message that was received."""

    header: Mapping[str, Any]
    blobs: tuple[bytes, ...]
    descriptor: int | None = None
    """Open file that came with it."""


def send(
    to: socket.socket, header: Mapping[str, Any], blobs: Sequence[bytes] = (), descriptor: int | None = None
) -> None:
    """Send a message.

    Args:
        to: Connected Unix socket.
        header: Plain values.
        blobs: Byte strings.
        descriptor: Open file to hand over.
    """
    head = json.dumps({**header, "sizes": [len(each) for each in blobs]}).encode()
    prefix = _HEAD.pack(len(head), len(blobs))
    if descriptor is None:
        to.sendall(prefix)
    else:
        socket.send_fds(to, [prefix], [descriptor])
    to.sendall(head)
    for each in blobs:
        to.sendall(each)


def receive(from_: socket.socket) -> Told:
    """Receive a message.

    Raises:
        BrokenError: The other end is gone, or the message has not the form of one.
        TimeoutError: It did not come in the time of the socket.
    """
    prefix, descriptors, _, _ = socket.recv_fds(from_, _HEAD.size, 1)
    prefix += _exactly(from_, _HEAD.size - len(prefix)) if prefix else b""
    if len(prefix) != _HEAD.size:
        raise BrokenError("the other end is gone")
    length, number = _HEAD.unpack(prefix)
    if length > MOST_HEADER:
        raise BrokenError("a header is too long")
    try:
        header = file_io.parse_json(_exactly(from_, length))
        sizes = header["sizes"]
        if len(sizes) != number or not all(
            isinstance(each, int) and 0 <= each <= MOST_BLOB for each in sizes
        ):
            raise BrokenError("sizes are not as announced")
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenError("a header is malformed") from error
    return Told(header, tuple(_exactly(from_, each) for each in sizes), next(iter(descriptors), None))


def _exactly(from_: socket.socket, length: int) -> bytes:
    parts, left = [], length
    while left:
        part = from_.recv(min(left, 1 << 20))
        if not part:
            raise BrokenError("the other end is gone")
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
