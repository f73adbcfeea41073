"""Locations of the user's files.

One rule for sessions, models, profiles, faults and the machine's setting.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from edgeleuk.errors import EdgeleukError

PROGRAM = "edgeleuk"
BASES = {
    "data": ("XDG_DATA_HOME", ".local/share"),
    "config": ("XDG_CONFIG_HOME", ".config"),
    "state": ("XDG_STATE_HOME", ".local/state"),
}
"""Base folders by kind.

Each is the XDG variable that names the folder of all programs, and its default in the home folder.
"""


def programs(kind: Literal["data", "config", "state"]) -> Path | None:
    """Return this program's folder of a kind.

    It applies if no variable of this program names another. The result is None for a user without a home
    folder.
    """
    every, below_home = BASES[kind]
    base = Path(os.environ.get(every, ""))
    try:
        return (base if base.is_absolute() else Path.home() / below_home) / PROGRAM
    except RuntimeError:
        return None


def expanded(named: str | Path, where: str, kind: type[EdgeleukError]) -> Path:
    """Expand a leading ~ to the home folder.

    Args:
        named: Path to expand.
        where: Name of the setting with the path, for the message.
        kind: Error class to raise.

    Raises:
        EdgeleukError: There is no such user; of the class `kind`.
    """
    try:
        return Path(named).expanduser()
    except RuntimeError as error:
        user = Path(named).parts[0]
        raise kind(
            f"{where} names {named}, and there is no home folder of {user}. Write the whole path."
        ) from error


def users(
    name: str, kind: Literal["data", "config", "state"], variable: str, homeless: EdgeleukError
) -> Path:
    """Return the path of a user's file.

    It is what the environment variable `variable` names, else edgeleuk/`name` in the user's folder of that
    kind. As in https://specifications.freedesktop.org/basedir-spec/latest/, a relative XDG folder is
    ignored.

    Args:
        name: Name of the file or folder.
        kind: Kind of the folder.
        variable: Environment variable that overrides the path.
        homeless: Error to raise without a home folder.

    Raises:
        EdgeleukError: The user has no home folder; it is `homeless`, or one of its class.
    """
    if named := os.environ.get(variable):
        return expanded(named, variable, type(homeless))
    if (folder := programs(kind)) is None:
        raise homeless
    return folder / name
