"""Where a user's files lie: one rule for sessions, models, profiles, faults and the machine's setting."""

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
"""By kind: the variable that names the folder of all programs, and its place in the home folder without that."""


def programs(kind: Literal["data", "config", "state"]) -> Path | None:
    """This program's folder of a kind, where no variable names another; None for a user without a home folder."""
    every, below_home = BASES[kind]
    base = Path(os.environ.get(every, ""))
    try:
        return (base if base.is_absolute() else Path.home() / below_home) / PROGRAM
    except RuntimeError:
        return None


def expanded(named: str | Path, where: str, kind: type[EdgeleukError]) -> Path:
    """A path with its leading ~ replaced by the home folder. Raises `kind` where there is no such user; `where` named it."""
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
    """What the environment variable `variable` names, else edgeleuk/`name` in the user's folder of that kind.

    As in https://specifications.freedesktop.org/basedir-spec/latest/, which has a relative XDG folder ignored. Raises
    `homeless` for a user without a home folder.
    """
    if named := os.environ.get(variable):
        return expanded(named, variable, type(homeless))
    if (folder := programs(kind)) is None:
        raise homeless
    return folder / name
