"""User at the other end of a loopback connection.

The loopback belongs to all users of a machine. Without a token only the one who runs the program is let in.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


def is_other_user(client: tuple[str, int] | None) -> bool:
    """Return whether another user's program opened a connection.

    `client`: its address and port. False where the system does not tell.
    """
    if client is None or not hasattr(os, "geteuid"):
        return False
    owner = _owner(*client)
    return owner is not None and owner not in (0, os.geteuid())


def _owner(host: str, port: int) -> int | None:
    """Return the user who owns the socket at an address.

    None if unknown.
    """
    try:
        wanted = {f"{each}:{port:04X}" for each in _spelled(ipaddress.ip_address(host))}
    except ValueError:
        return None
    for table in _TABLES:
        try:
            lines = table.read_text(encoding="ascii", errors="replace").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            parts = line.split()
            if len(parts) > 7 and parts[1] in wanted:
                return int(parts[7])
    return None


def _spelled(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[str]:
    """Return an address as the kernel's tables spell it.

    It is in words of the machine's byte order.
    """
    packed = [address.packed]
    if isinstance(address, ipaddress.IPv4Address):
        packed.append(ipaddress.IPv6Address(f"::ffff:{address}").packed)
    return ["".join(_word(each[i : i + 4]).hex().upper() for i in range(0, len(each), 4)) for each in packed]


def _word(four: bytes) -> bytes:
    return four[::-1] if sys.byteorder == "little" else four
