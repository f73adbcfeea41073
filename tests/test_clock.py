"""A clock that is set back a year in the middle of a session: order, counts and listing stay right, and it is said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from test_sessions_cli import run

YEAR_BACK = "-365d"
COUNTING = """
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from counted import counted_field, started
from edgeleuk.sessions import open_store

with open_store(Path(sys.argv[1])) as store:
    session = store.resume(sys.argv[2]) if len(sys.argv) > 2 else started(store)
    before = len(list(session.counted()))
    for number in (before + 1, before + 2):
        session.add(replace(counted_field(number), at=datetime.now(UTC).isoformat(timespec="milliseconds")))
    session.note(f"note {before}")
    session.mark(before + 1, "artefact")
    session.release()
    print(session.id)
"""
"""Counts two fields as a live count does, then dies."""


def count(path: Path, *session: str, clock: tuple[str, ...] = ()) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [*clock, sys.executable, "-c", COUNTING, str(path), *session]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout.strip()


def test_a_session_over_a_clock_set_back_by_a_year_keeps_its_order(tmp_path: Path) -> None:
    """Fields, notes and marks in the order of counting; the newest session first, whatever date it bears."""
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("faketime is not installed: no program is shown another clock")
    back, path = (faketime, "-f", YEAR_BACK), tmp_path / "sessions.db"
    first = count(path)
    assert count(path, first[:13], clock=back) == first
    second = count(path, clock=back)
    assert second[:4] < first[:4]
    listed = json.loads(run("list", "--json", EDGELEUK_SESSIONS=str(path)).stdout)["sessions"]
    assert [(each["id"], each["fields"]) for each in listed] == [(second, 2), (first, 4)]
    # The last field is the one that was counted last, not the one with the latest date.
    assert datetime.fromisoformat(listed[1]["last"]) < datetime.now(UTC) - timedelta(days=364)
    done = run("export", first, "--out", tmp_path / "out", EDGELEUK_SESSIONS=str(path))
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "out" / "session.json").read_text())
    assert [each["number"] for each in document["fields"]] == [1, 2, 3, 4]
    years = [each["at"][:4] for each in document["fields"]]
    assert years[0] == years[1] > years[2] == years[3]
    assert [note["text"] for note in document["notes"]] == ["note 0", "note 2"]
    assert document["marks"] == {"1": "artefact", "3": "artefact"}
    assert document["clock_set_back"]
    assert "it was set back in between" in run("show", first, EDGELEUK_SESSIONS=str(path)).stdout
    assert "it was set back" not in run("show", second, EDGELEUK_SESSIONS=str(path)).stdout
