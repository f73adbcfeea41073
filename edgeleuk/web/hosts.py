"""Names and addresses of this machine.

A request that names another host is refused: a page from elsewhere whose name was made to point here (DNS rebinding)
does so. Nothing is looked up on a network.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

_SIOCGIFADDR = 0x8915
"""Request for the IPv4 address of an interface, see netdevice(7)."""
_IPV6 = Path("/proc/net/if_inet6")
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9._-]{1,253}))(?::\d{1,5})?")


def addresses() -> list[str]:
    """Return the addresses of this machine, IPv4 before IPv6.

    Those of the loopback come last.
    """
    found = [*_v4(), *_v6()]
    return sorted(found, key=lambda each: ipaddress.ip_address(each).is_loopback)


def _v4() -> Iterator[str]:
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asked.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:  # an interface without an address
                continue
            yield socket.inet_ntoa(answer[20:24])


def _v6() -> Iterator[str]:
    try:
        lines = _IPV6.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        digits = line.split()[0] if line.split() else ""
        if len(digits) == 32:
            address = ipaddress.IPv6Address(int(digits, 16))
            if not address.is_link_local:  # such an address needs a zone, which no browser takes
                yield str(address)


def own_names(host: str, *, lan: bool) -> frozenset[str]:
    """Return the host names that requests may carry, in lower case.

    Args:
        host: Address that the server listens on.
        lan: Whether other machines may connect.
    """
    names = {"localhost", "127.0.0.1", "::1"}
    if lan:
        own = socket.gethostname().lower()
        names |= {own, f"{own.split('.')[0]}.local", *addresses()}
    if not is_any(host):  # an interface may have more addresses than the one that it tells
        names.add(host.lower().strip("[]"))
    return frozenset(names)


def host_of(header: str) -> str | None:
    """Return the host of a Host header or an origin.

    It is in lower case, without port and brackets. None where the header is malformed.
    """
    found = _HOST.fullmatch(header)
    if found is None:
        return None
    if found["v6"]:
        try:
            return str(ipaddress.IPv6Address(found["v6"]))
        except ValueError:
            return None
    return found["name"].lower()


def is_any(host: str) -> bool:
    """Return whether an address stands for all of the machine's."""
    return host in ("", "0.0.0.0", "::")


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def shown_hosts(host: str) -> list[str]:
    """Return the hosts to put into addresses for people.

    The best one comes first.
    """
    if not is_any(host):
        return [host]
    known = [each for each in addresses() if not ipaddress.ip_address(each).is_loopback]
    private = [each for each in known if ipaddress.ip_address(each).is_private and ":" not in each]
    return [*private, *(each for each in known if each not in private)] or ["127.0.0.1"]


def address_text(host: str, port: int) -> str:
    """Return the address of the server as a URL."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
