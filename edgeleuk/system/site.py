"""Identity of this machine: its site, its device and its usual operator.

It is a small TOML file, which the installer or `edgeleuk site` writes. Every new count states it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from edgeleuk._text import escaped
from edgeleuk.errors import OutputError, UsageError
from edgeleuk.system import file_io, user_paths
from edgeleuk.system.toml_tables import load_table
from edgeleuk.system.wording import command

VARIABLE = "EDGELEUK_SITE_FILE"
"""Environment variable that names the file.

The installed program sets it to /etc/edgeleuk/site.toml, so that the services and every user state the same.
"""
LONGEST = 80
"""Maximum characters of a value."""


@dataclass(frozen=True, slots=True)
class Site:
    """Identity of this machine; empty texts are not set."""

    site: str = ""
    """Laboratory or health post."""
    device: str = ""
    """Microscope with its camera and computer."""
    operator: str = ""
    """Person who counts, where nobody else is named."""

    def __post_init__(self) -> None:
        for name, text in asdict(self).items():
            if len(text) > LONGEST or escaped(text) != text or text != text.strip():
                raise ValueError(
                    f"{name} is {text[:LONGEST]!r}: at most {LONGEST} characters, without line breaks, other control"
                    " characters, and spaces at its ends"
                )


def path() -> Path:
    """Return the path of the file.

    It is the value of EDGELEUK_SITE_FILE, or edgeleuk/site.toml in the user's configuration folder.

    Raises:
        OutputError: The user has no home folder.
    """
    homeless = OutputError(f"this user has no home folder to keep the site in. Name a file in {VARIABLE}.")
    return user_paths.users("site.toml", "config", VARIABLE, homeless)


def load() -> Site:
    """Return the identity of this machine; without a file nothing is set.

    Raises:
        InputError: The file cannot be read, or is malformed.
        OutputError: The user has no home folder.
    """
    file = path()
    return Site() if file_io.is_absent(file) else load_table(Site, file, f"what `{command('site')}` writes")


def checked(**texts: str) -> Site:
    """Return an identity of these texts.

    Raises:
        UsageError: One of them is too long, or has control characters.
    """
    try:
        return Site(**texts)
    except ValueError as error:
        raise UsageError(f"{error}.") from error


def save(identity: Site) -> Path:
    """Write the identity of this machine, and return the file.

    Raises:
        OutputError: It cannot be written.
    """
    file = path()
    # A string of JSON without control characters is one of TOML, too: https://toml.io/en/v1.0.0#string
    lines = [
        f"{each.name} = {json.dumps(getattr(identity, each.name), ensure_ascii=False)}\n"
        for each in fields(identity)
    ]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file_io.write_whole(file, "".join(lines).encode(), 0o644)
    except OSError as error:
        raise OutputError(
            f"cannot write {file}: {error.strerror}. Where it belongs to the system, use sudo; or name another file in"
            f" {VARIABLE}."
        ) from error
    return file
