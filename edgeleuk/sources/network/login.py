"""HTTP login by Basic or Digest.

Basic is RFC 7617, Digest RFC 7616.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.request import parse_http_list

from edgeleuk._text import tamed

Hash = Callable[[bytes], str]


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()  # which cameras require


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


HASHES: Mapping[str, Hash] = {"SHA-256": _sha256, "SHA-256-SESS": _sha256, "MD5": _md5, "MD5-SESS": _md5}
"""Digest algorithms, best first."""
_SCHEME = re.compile(r"([!#$%&'*+.^_`|~\w-]+)(?:\s+|$)(.*)", re.DOTALL)
_PARAMETER = re.compile(r"([\w*-]+)\s*=\s*(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Challenge:
    """Login challenge from a WWW-Authenticate header."""

    scheme: str
    """Scheme in lower case."""
    parameters: Mapping[str, str]

    @property
    def algorithm(self) -> str:
        """Digest algorithm in capitals."""
        return self.parameters.get("algorithm", "MD5").upper()

    @property
    def qop(self) -> str | None:
        """Digest quality of protection to use.

        It is empty where the server offers none, and None where none of those offered is known here.
        """
        offered = [each.strip().lower() for each in self.parameters.get("qop", "").split(",") if each.strip()]
        return next((each for each in ("auth", "auth-int") if each in offered), None) if offered else ""

    @property
    def usable(self) -> bool:
        if self.scheme == "basic":
            return True
        known = self.algorithm in HASHES and self.qop is not None
        return self.scheme == "digest" and known and "nonce" in self.parameters

    @property
    def stale(self) -> bool:
        """Whether a valid login only had an expired nonce."""
        return self.parameters.get("stale", "").lower() == "true"

    def __str__(self) -> str:
        """Return the kind of challenge, for a message."""
        if self.scheme != "digest":
            return tamed(self.scheme, 20)
        qop = "" if self.qop is not None else f" with qop {tamed(self.parameters.get('qop', ''), 20)}"
        return f"Digest {tamed(self.algorithm, 20)}{qop}"


def challenges(headers: Sequence[str]) -> list[Challenge]:
    """Return a server's challenges, best first."""
    found: list[tuple[str, dict[str, str]]] = []
    for item in (item for header in headers for item in parse_http_list(header)):
        if not _PARAMETER.fullmatch(item) and (scheme := _SCHEME.fullmatch(item)):
            found.append((scheme[1].lower(), {}))
            item = scheme[2]
        if found and (parameter := _PARAMETER.fullmatch(item)):
            found[-1][1][parameter[1].lower()] = parameter[2].strip().strip('"')
    order = ["digest", "basic"]
    names = list(HASHES)
    return sorted(
        (Challenge(scheme, parameters) for scheme, parameters in found),
        key=lambda each: (
            not each.usable,
            order.index(each.scheme) if each.scheme in order else len(order),
            names.index(each.algorithm) if each.algorithm in names else len(names),
        ),
    )


@dataclass(slots=True)
class Login:
    """Answers of one user to a server's challenges."""

    user: str
    password: str
    _challenge: Challenge | None = None
    _count: int = 0
    """Answers given to the current challenge."""
    _cnonce: str = field(default_factory=lambda: secrets.token_hex(16))

    def take(self, challenge: Challenge) -> None:
        """Answer this challenge from now on."""
        self._challenge, self._count = challenge, 0

    def answer(self, method: str, target: str) -> str:
        """Return the Authorization header's value.

        It is empty until the server has sent a challenge.
        """
        if self._challenge is None:
            return ""
        if self._challenge.scheme == "basic":
            return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"
        return self._digest(self._challenge, method, target)

    def _digest(self, asked: Challenge, method: str, target: str) -> str:
        hashed, qop = HASHES[asked.algorithm], asked.qop
        realm, nonce = asked.parameters.get("realm", ""), asked.parameters["nonce"]
        self._count += 1
        count = f"{self._count:08x}"

        def h(*parts: str) -> str:
            return hashed(":".join(parts).encode())

        first = h(self.user, realm, self.password)
        if asked.algorithm.endswith("-SESS"):
            first = h(first, nonce, self._cnonce)
        second = h(method, target, hashed(b"")) if qop == "auth-int" else h(method, target)
        proof = h(first, nonce, count, self._cnonce, qop, second) if qop else h(first, nonce, second)
        user = self.user.replace("\\", "\\\\").replace('"', '\\"')
        said = [
            f'username="{user}"',
            f'realm="{realm}"',
            f'nonce="{nonce}"',
            f'uri="{target}"',
            f'response="{proof}"',
        ]
        if "algorithm" in asked.parameters:
            said.append(f"algorithm={asked.parameters['algorithm']}")
        if "opaque" in asked.parameters:
            said.append(f'opaque="{asked.parameters["opaque"]}"')
        if qop or asked.algorithm.endswith("-SESS"):
            said.append(f'cnonce="{self._cnonce}"')
        if qop:
            said += [f"qop={qop}", f"nc={count}"]
        return f"Digest {', '.join(said)}"
