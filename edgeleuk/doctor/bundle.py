"""Support archive without data of patients, slides, sessions or users.

It holds the report, the versions of all Python packages, the unforeseen faults, and the lines of the service's log that
tell of faults. Results of a count are not in these lines, and are removed from any other.
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
from edgeleuk.doctor.findings import Report, without_names
from edgeleuk.system.addresses import without_secrets
from edgeleuk.system.faults import log_without_messages
from edgeleuk.system.wording import command, option

UNITS = ("edgeleuk-live", "edgeleuk-console")
LINES = 2000
"""Maximum number of newest log lines, before filtering."""
FAULT = re.compile(
    r"\b(?:error|warning|fail\w*|Traceback|watchdog|timeout|killed|signal|exited|Out of memory|oom\w*"
    r"|Under-?voltage|throttl\w*|Start(?:ed|ing)|Stopp(?:ed|ing)|Scheduled restart)\b",
    re.IGNORECASE,
)
"""Pattern of log lines to keep.

These are lines of systemd about the service, and the program's own lines about faults.
"""
FOUND = re.compile(r"\b(?:counted|undone|marked|note|target|finished)\b {2,}|\bfield \d", re.IGNORECASE)
"""Pattern of log lines to drop, even if FAULT matches.

These are the kinds of events that tell what a count found or what its operator wrote.
"""
COMMON = frozenset({"root", "edgeleuk", "pi", "user", "admin", "localhost", "raspberrypi"})
"""Names that identify nobody and are part of many words."""


def bundle(report: Report, text: str, log: Callable[[], str] | None = None) -> bytes:
    """Return the support archive as a zip file.

    Args:
        report: Report, written as JSON.
        text: The same report as text for people.
        log: Returns the log of the service; the system's journal by default.
    """
    files = {
        "README.txt": README.format(version=__version__, doctor=command("doctor"), bundle=option("bundle")),
        "report.json": without_people(json.dumps(report.as_json(), indent=2)) + "\n",
        "report.txt": without_people(text),
        "versions.txt": "".join(f"{line}\n" for line in versions()),
        "log.txt": without_people(faults((log or service_log)())),
        "faults.txt": without_people(log_without_messages()),
    }
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(
                zipfile.ZipInfo(f"edgeleuk-doctor/{name}"), content.encode(), zipfile.ZIP_DEFLATED
            )
    return written.getvalue()


README = """Support archive of edgeleuk {version}, written by `{doctor} {bundle}`.

It holds no picture, no session, no count, and no name of a user, a computer or a patient. Look at it before you send it.
report.txt, report.json   what was examined
versions.txt              Python packages
log.txt                   lines of the service's log that tell of faults
faults.txt                faults of the program by their references, without what they said of names
"""


def versions() -> list[str]:
    """List the installed Python packages, as `pip` names them."""
    found = {(each.metadata["Name"] or "").lower(): each.version for each in metadata.distributions()}
    return [f"{name}=={version}" for name, version in sorted(found.items()) if name]


def service_log() -> str:
    """Return the newest lines of the services' journal.

    If there are none, the text says why.
    """
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
    """Keep log lines about faults, without cells, slides or notes."""
    kept = [line for line in log.splitlines() if FAULT.search(line) and not FOUND.search(line)]
    return "".join(f"{line}\n" for line in kept)


def without_people(text: str) -> str:
    """Remove user folders, names and passwords from a text.

    Names are those of users and of the computer; passwords are those in addresses.
    """
    shortened: str = without_secrets(without_names(text))
    for name in _names():
        shortened = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", "NAME", shortened)
    return shortened


def _names() -> Iterable[str]:
    """Return names of this user and computer, longest first."""
    names = {
        os.environ.get("SUDO_USER", ""),
        os.environ.get("LOGNAME", ""),
        socket.gethostname(),
        socket.getfqdn(),
    }
    with suppress(KeyError, OSError):  # a user without an entry in the user database
        names.add(getpass.getuser())
    return sorted((name for name in names - COMMON if len(name) > 1), key=len, reverse=True)
