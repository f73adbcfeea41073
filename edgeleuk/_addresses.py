"""Addresses of cameras without their passwords, to show and to keep."""

from __future__ import annotations

import re

HIDDEN = "***"
"""Stands for a value that is not shown."""
SECRETS = "pass|pwd|token|secret|auth|user|usr|login|account|credential|session|signature"
"""Parts of the names of parameters whose values are not shown: many cameras take a login in them."""
SHORT_SECRETS = "u|p|pw|psw|pin|key|api_?key|sig|sid|jwt"
"""Whole names of such parameters."""
_SCHEME = r"(?!watch:)[A-Za-z][A-Za-z0-9+.-]*:/{2,}|(?:https?|rtsps?|rtmps?):/{0,2}"
_ADDRESS = re.compile(rf"\b(?P<scheme>{_SCHEME})(?P<rest>\S+)", re.IGNORECASE)
_PARAMETER = re.compile(
    rf"((?<![\w.%\[\]-])(?:[\w.%\[\]-]*(?:{SECRETS})[\w.%\[\]-]*|{SHORT_SECRETS})=)[^&\s]+", re.IGNORECASE
)
_LOGIN = re.compile(r"^(?!(?:watch|usb|picamera|simulated):)[^\s/]*:.*@", re.DOTALL)


def without_secrets(text: str) -> str:
    """Remove logins and secret parameters from the addresses in a text.

    All before the last @ of an address goes: a password may hold any character, also those that end it by the rules.
    """
    return _ADDRESS.sub(lambda found: found["scheme"] + _bare(found["rest"]), text)


def shown_source(source: str) -> str:
    """Name of a source without secrets; what is no address stays."""
    if scheme := re.match(_SCHEME, source, re.IGNORECASE):
        return scheme[0] + _bare(source[scheme.end() :])
    return source


def shown_mistake(source: str) -> str:
    """Mistyped name of a source without secrets, also without a scheme."""
    shown = shown_source(source)
    if shown != source:
        return shown
    return _bare(source) if _LOGIN.match(source) else _PARAMETER.sub(rf"\1{HIDDEN}", source)


def is_incomplete(source: str) -> bool:
    """Whether a kept source lacks the login that opens it."""
    return f"={HIDDEN}" in source


def _bare(rest: str) -> str:
    """The part of an address behind its scheme."""
    return _PARAMETER.sub(rf"\1{HIDDEN}", rest.rpartition("@")[2])
