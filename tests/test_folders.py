"""Where a user's files lie, one rule for all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeleuk import sessions
from edgeleuk.device import profiles
from edgeleuk.models import registry
from edgeleuk.system import machine

PLACES: list[tuple[Callable[[], Path], str, str, str]] = [
    (sessions.default_path, "EDGELEUK_SESSIONS", "XDG_DATA_HOME", ".local/share/edgeleuk/sessions.db"),
    (registry.store, "EDGELEUK_MODEL_STORE", "XDG_DATA_HOME", ".local/share/edgeleuk/models"),
    (profiles.folder, "EDGELEUK_PROFILES", "XDG_CONFIG_HOME", ".config/edgeleuk/profiles"),
    (machine.path, "EDGELEUK_MACHINE", "XDG_CONFIG_HOME", ".config/edgeleuk/machine.json"),
]


@pytest.mark.parametrize(("place", "variable", "every", "usual"), PLACES, ids=[each[1] for each in PLACES])
def test_the_variable_first_then_xdg_then_home(
    place: Callable[[], Path],
    variable: str,
    every: str,
    usual: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A relative XDG folder is ignored, as its specification wants; ~ is the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(variable, raising=False)
    for ignored in ("", "relative"):
        monkeypatch.setenv(every, ignored)
        assert place() == tmp_path / usual
    monkeypatch.setenv(every, str(tmp_path / "xdg"))
    assert place() == tmp_path / "xdg" / "edgeleuk" / Path(usual).name
    monkeypatch.setenv(variable, "~/mine")
    assert place() == tmp_path / "mine"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user that does not exist")
def test_a_user_without_home_is_told_what_to_name() -> None:
    """As a service may run: each place names its variable, and the machine's setting falls back to the default."""
    code = (
        "import os\nfrom edgeleuk.system import machine; from edgeleuk.device import profiles; from edgeleuk import sessions; from edgeleuk.models import registry\nfrom edgeleuk.errors import EdgeleukError\n"
        "os.setuid(54321)\n"
        "for place in (sessions.default_path, registry.store, profiles.folder, machine.path):\n"
        "    try:\n        place()\n    except EdgeleukError as error:\n        print(error)\n"
        "print(machine.setting_here() == machine.DEFAULT)\n"
    )
    without = {
        name: value for name, value in os.environ.items() if not name.startswith(("HOME", "XDG", "EDGELEUK"))
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=without
    )
    *texts, default = done.stdout.splitlines()
    assert [text.split("has no home folder")[0] for text in texts] == ["this user "] * 4
    assert all(variable in text for (_, variable, _, _), text in zip(PLACES, texts, strict=True))
    assert default == "True"
