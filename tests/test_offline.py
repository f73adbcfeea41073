"""Nothing leaves the machine: no dependency opens a connection, looks a name up or leaves a file of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from offline import ANALYZE, LIVE, traced

DEPLOY = Path(__file__).parents[1] / "deploy"
SWITCH = "ORT_DISABLE_TELEMETRY"
followed = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed: system calls cannot be followed"
)


@pytest.mark.parametrize("said", [None, "0", ""])
def test_the_report_of_the_network_library_is_switched_off(said: str | None) -> None:
    """Whatever the environment said, before the library loads."""
    code = f"import os, sys, edgeleuk; print(os.environ['{SWITCH}'], 'onnxruntime' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name != SWITCH}
    environment |= {} if said is None else {SWITCH: said}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["1", "False"]


def test_it_is_off_in_the_tests_too() -> None:
    """Also in one that loads the library before the program."""
    assert os.environ[SWITCH] == "1"


@pytest.mark.skipif(not DEPLOY.is_dir(), reason="this comes with a checkout")
@pytest.mark.parametrize("unit", ["edgeleuk-live", "edgeleuk-console", "edgeleuk-web"])
def test_it_is_off_in_the_services(unit: str) -> None:
    """For whatever else they may start."""
    text = (DEPLOY / "systemd" / f"{unit}.service").read_text()
    assert re.search(rf"^Environment=.*\b{SWITCH}=1\b", text, re.MULTILINE)


@followed
@pytest.mark.parametrize("command", [ANALYZE, (*LIVE, "4")], ids=["analyze", "live"])
def test_nothing_leaves_the_machine(tmp_path: Path, command: tuple[str, ...]) -> None:
    """No look-up, no connection, no look at what tells computers apart, and no file outside the program's own folders.

    `python tests/offline.py` follows a whole minute of `live`.
    """
    found = traced(command, tmp_path, 240)
    assert found.calls > 1000
    assert (found.connections, found.foreign, found.identities) == ([], [], [])


@followed
@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("import socket; socket.socket().close()", "connections"),
        ("import socket; socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()", "connections"),
        ("import socket, contextlib\nwith contextlib.suppress(OSError): socket.getaddrinfo('x.invalid', 80)", "connections"),
        ("import os; os.makedirs(os.path.expanduser('~/.cache/someone'))", "foreign"),
        ("import os; open(os.path.expanduser('~/.device-id'), 'w').close()", "foreign"),
        ("import os, tempfile; n = tempfile.mkstemp()[1]; os.unlink(n)", "foreign"),
        ("import os; open('a', 'w').close(); os.rename('a', os.path.expanduser('~/a'))", "foreign"),
        ("import os; os.chdir('/'); os.symlink('x', os.path.expanduser('~/x'))", "foreign"),
        ("import os; os.stat('/etc/machine-id') if os.path.exists('/etc/machine-id') else 0", "identities"),
        ("import os; os.system('echo > ~/from-a-child')", "foreign"),
    ],
)  # fmt: skip
def test_the_instrument_sees_what_it_is_there_to_see(tmp_path: Path, code: str, what: str) -> None:
    """Each kind of misbehaviour, also of a process that another one starts, and nothing else."""
    found = traced((sys.executable, "-S", "-c", code), tmp_path, 60)
    seen = {name for name in ("connections", "foreign", "identities") if getattr(found, name)}
    assert what in seen
    assert seen <= {what, "connections"}


@followed
def test_the_instrument_lets_pass_what_is_the_programs_own(tmp_path: Path) -> None:
    """Its work folder, its folder in the home, a temporary file without a name, and Python's own reading."""
    code = (
        "import os, tempfile\n"
        "own = os.path.expanduser('~/.local/share/edgeleuk')\n"
        "os.makedirs(own); open(own + '/x', 'w').close(); open('y', 'w').close(); os.rename('y', 'z')\n"
        "tempfile.TemporaryFile(dir=os.environ['TMPDIR']).close()\n"
    )
    assert traced((sys.executable, "-S", "-c", code), tmp_path, 60).clean
