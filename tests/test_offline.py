"""Nothing leaves the machine: no dependency opens a connection."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edgeleuk

NETWORK = re.compile(r'AF_INET6?|getaddrinfo|"/etc/(?:hosts|resolv\.conf|nsswitch\.conf)"')


def test_the_report_of_the_network_library_is_switched_off() -> None:
    """Whatever the environment said, before the library loads."""
    code = "import os; os.environ['ORT_DISABLE_TELEMETRY'] = '0'; import edgeleuk; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
    assert edgeleuk.__version__


@pytest.mark.parametrize(
    "arguments",
    [("analyze", "--demo", "--out", "out"), ("live", "--source", "simulated", "--seconds", "20", "--plain")],
    ids=["analyze", "live"],
)
def test_no_connection_is_opened(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Traced: no look-up, no connection, and no file of a dependency's own in the user's folder."""
    if not (strace := shutil.which("strace")):
        pytest.skip("strace is not installed: system calls cannot be followed")
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    trace = tmp_path / "trace"
    command = [strace, "-f", "-e", "trace=network,openat", "-o", str(trace), sys.executable, "-m", "edgeleuk"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "EDGELEUK_"))}
    done = subprocess.run(
        [*command, *arguments],
        env={**environment, "HOME": str(home)},
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    calls = trace.read_text(errors="replace").splitlines()
    assert [call for call in calls if NETWORK.search(call)] == []
    left = {path.relative_to(home).parts[:3] for path in home.rglob("*") if path.is_file()}
    assert left <= {(".local", "share", "edgeleuk")}
