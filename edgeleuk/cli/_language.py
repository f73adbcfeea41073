"""The option `--lang`, which stands before or after the command."""

from __future__ import annotations

import os
from collections.abc import Sequence

from edgeleuk.cli._console import warn
from edgeleuk.errors import UsageError
from edgeleuk.system import language

OPTION = "--lang"
VARIABLE = language.ENVIRONMENT[0]


def without_language(arguments: Sequence[str]) -> list[str]:
    """Set the language of this process, and return the other arguments.

    Raises:
        UsageError: There is no such language, or none is named.
    """
    rest, wanted = [], None
    waiting, ended = False, False
    for each in arguments:
        if waiting:
            wanted, waiting = each, False
        elif ended or not each.startswith(OPTION):
            rest.append(each)
            ended = ended or each == "--"
        elif each == OPTION:
            waiting = True
        elif each.startswith(f"{OPTION}="):
            wanted = each.removeprefix(f"{OPTION}=")
        else:
            rest.append(each)
    language.use(language.from_environment())
    if wanted is None and not waiting:
        _tell_unknown()
        return rest
    code = language.match(wanted or "")
    if code is None:
        raise UsageError(f"there is no language {wanted or ''!r}. Languages here: {_known()}.")
    language.use(code)
    return rest


def _known() -> str:
    return ", ".join(f"{each} ({language.load(each).name})" for each in language.codes())


def _tell_unknown() -> None:
    """Warn of a variable that names no language; the output is then English.

    A locale without a catalogue is no mistake.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted and language.match(wanted) is None:
        warn(
            f"{VARIABLE} is {wanted!r}, and there is no such language: this is English. Languages here: {_known()}."
        )
