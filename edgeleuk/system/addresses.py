"""Camera addresses without passwords, for display and storage."""

from __future__ import annotations

import re

HIDDEN = "***"
"""Placeholder for a value that is not shown."""
SECRETS = "pass|pwd|token|secret|auth|user|usr|login|account|credential|session|signature"
"""Parts of parameter names whose values are hidden.

Many cameras take a login in such parameters.
"""
SHORT_SECRETS = "u|p|pw|psw|pin|key|api_?key|sig|sid|jwt"
"""Whole parameter names whose values are hidden."""
_SCHEME = r"(?!watch:)[A-Za-z][A-Za-z0-9+.-]*:/{2,}|(?:https?|rtsps?|rtmps?):/{0,2}"
_ADDRESS = re.compile(rf"\b(?P<scheme>{_SCHEME})(?P<rest>\S+)", re.IGNORECASE)
_PARAMETER = re.compile(
    rf"((?<![\w.%\[\]-])(?:[\w.%\[\]-]*(?:{SECRETS})[\w.%\[\]-]*|{SHORT_SECRETS})=)[^&\s]+", re.IGNORECASE
)
_LOGIN = re.compile(r"^(?!(?:watch|usb|picamera|simulated):)[^\s/]*:.*@", re.DOTALL)


def without_secrets(text: str) -> str:
    """Remove logins and secret parameters from addresses in a text.

    Everything before the last @ of an address is removed: a password may hold any character, also those that
    end it by the rules.
    """
    return _ADDRESS.sub(lambda found: found["scheme"] + _bare(found["rest"]), text)


def shown_source(source: str) -> str:
    """Return a source's name without secrets.

    A name that is not an address is returned unchanged.
    """
    if scheme := re.match(_SCHEME, source, re.IGNORECASE):
        return scheme[0] + _bare(source[scheme.end() :])
    return source


def shown_mistake(source: str) -> str:
    """Return a mistyped source name without secrets.

    Also handles names without a scheme.
    """
    shown = shown_source(source)
    if shown != source:
        return shown
    return _bare(source) if _LOGIN.match(source) else _PARAMETER.sub(rf"\1{HIDDEN}", source)


def is_incomplete(source: str) -> bool:
    """Return whether a stored source lacks its login."""
    return f"={HIDDEN}" in source


def _bare(rest: str) -> str:
    """Return the part after the scheme without login and secrets."""
    return _PARAMETER.sub(rf"\1{HIDDEN}", rest.rpartition("@")[2])
