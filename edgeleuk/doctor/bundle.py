"""The support archive: what helps somebody far away, and nothing of any patient, slide, session or user.

It holds the report, the versions of all Python packages, the faults that nobody foresaw, and of the service's log the lines
that tell of faults. What a
count found is not in these lines, and they are cut out of any other.
"""

from __future__ import annotations

import getpass
import io
import json
import os
import re
import shutil
import socket
import subprocess
import zipfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import metadata

from edgeleuk import __version__
from edgeleuk._addresses import without_secrets
from edgeleuk.doctor.findings import Report, without_names
from edgeleuk.faults import told

UNITS = ("edgeleuk-live", "edgeleuk-console")
LINES = 2000
"""Of the log, the newest, before those that tell of no fault are left out."""
FAULT = re.compile(
    r"\b(?:error|warning|fail\w*|Traceback|watchdog|timeout|killed|signal|exited|Out of memory|oom\w*"
    r"|Under-?voltage|throttl\w*|Start(?:ed|ing)|Stopp(?:ed|ing)|Scheduled restart)\b",
    re.IGNORECASE,
)
"""Of lines that stay: those of systemd about the service, and the program's own about faults."""
FOUND = re.compile(r"\b(?:counted|undone|marked|note|target|finished)\b {2,}|\bfield \d", re.IGNORECASE)
"""Of lines that go, even so: the kinds of events that tell what a count found or what its operator wrote."""
COMMON = frozenset({"root", "edgeleuk", "pi", "user", "admin", "localhost", "raspberrypi"})
"""Names that say nothing about anybody, and stand in many words."""


def bundle(report: Report, text: str, log: Callable[[], str] | None = None) -> bytes:
    """The archive, a zip. `text` is the report for a person, `log` what the service wrote."""
    files = {
        "README.txt": README,
        "report.json": without_people(json.dumps(report.as_json(), indent=2)) + "\n",
        "report.txt": without_people(text),
        "versions.txt": "".join(f"{line}\n" for line in versions()),
        "log.txt": without_people(faults((log or service_log)())),
        "faults.txt": without_people(told()),
    }
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(
                zipfile.ZipInfo(f"edgeleuk-doctor/{name}"), content.encode(), zipfile.ZIP_DEFLATED
            )
    return written.getvalue()


README = f"""Support archive of edgeleuk {__version__}, written by `edgeleuk doctor --bundle`.

It holds no picture, no session, no count, and no name of a user, a computer or a patient. Look at it before you send it.
report.txt, report.json   what was examined
versions.txt              Python packages
log.txt                   lines of the service's log that tell of faults
faults.txt                faults of the program by their references, without what they said of names
"""


def versions() -> list[str]:
    """Every Python package that is installed here, as `pip` names it."""
    found = {(each.metadata["Name"] or "").lower(): each.version for each in metadata.distributions()}
    return [f"{name}=={version}" for name, version in sorted(found.items()) if name]


def service_log() -> str:
    """The newest lines of the services' journal, or why there are none."""
    journalctl = shutil.which("journalctl")
    if journalctl is None:
        return "warning: this system has no journal (journalctl)"
    units = [f"--unit={unit}" for unit in UNITS]
    command = [
        journalctl,
        *units,
        "--no-pager",
        "--no-hostname",
        "--output=short-iso",
        f"--lines={LINES}",
        "--quiet",
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"warning: the journal cannot be read: {error}"
    if done.returncode:
        return f"warning: the journal cannot be read: {done.stderr.strip() or done.returncode}"
    return done.stdout


def faults(log: str) -> str:
    """The lines that tell of faults, and of no cell, slide or note."""
    kept = [line for line in log.splitlines() if FAULT.search(line) and not FOUND.search(line)]
    return "".join(f"{line}\n" for line in kept)


def without_people(text: str) -> str:
    """The text without folders of users, their names, or the computer's, and without passwords in addresses."""
    shortened: str = without_secrets(without_names(text))
    for name in _names():
        shortened = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", "NAME", shortened)
    return shortened


def _names() -> Iterable[str]:
    """Of this user and this computer, longest first."""
    names = {
        os.environ.get("SUDO_USER", ""),
        os.environ.get("LOGNAME", ""),
        socket.gethostname(),
        socket.getfqdn(),
    }
    with suppress(KeyError, OSError):  # a user without an entry among the users
        names.add(getpass.getuser())
    return sorted((name for name in names - COMMON if len(name) > 1), key=len, reverse=True)
