"""What the program asks of the network and leaves on the disk, as the kernel sees it: `analyze`, and a minute of `live`.

    python tests/offline.py [SECONDS]        needs strace; prints each list, and ends with 1 unless all are empty

Every call counts that could send or look something up, and every attempt to make, change or remove a file outside the
folder that the program works in and its own one in the user's home, whichever library makes it. So does a look at
what tells computers apart.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

CALL = re.compile(r"^\d+ +(?P<name>\w+)\((?P<arguments>.*)")
PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<(?P<folder>[^>]*)>, )?"(?P<path>(?:[^"\\]|\\.)*)"')
"""A path, and the folder that it is relative to where the call names one (`strace -y`)."""
NETWORK = frozenset({
    "socket", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg",
})  # fmt: skip
LOOK_UP = re.compile(
    r"^/etc/(?:hosts|resolv\.conf|nsswitch\.conf|gai\.conf|host\.conf)$|/nscd|systemd/resolve"
)
IDENTITY = re.compile(
    r"machine-id$|product_(?:uuid|serial)$|board_serial$|^/sys/class/net|/cpuid$|serial-number$"
)
OPENING = frozenset({"open", "openat", "openat2"})
CHANGING = re.compile(
    r"^(?:creat|mkdir|rmdir|rename|unlink|link|symlink|mknod|truncate|chmod|fchmodat|l?chown|fchownat|utime|futimesat|[lf]?setxattr)"
)
WRITING = re.compile(r"O_(?:CREAT|WRONLY|RDWR|TRUNC|APPEND)")
NAMELESS = "O_TMPFILE"
"""A file of this kind has no name, and is gone with the program."""
HARMLESS = frozenset({"/dev/null", "/dev/tty"})
PROGRAM = (sys.executable, "-m", "edgeleuk")
ANALYZE = (*PROGRAM, "analyze", "--demo", "--out", "out")
LIVE = (
    *PROGRAM,
    "live",
    "--source",
    "simulated",
    "--width",
    "640",
    "--height",
    "360",
    "--plain",
    "--seconds",
)
"""Followed by the seconds."""


@dataclass(frozen=True, slots=True)
class Traced:
    """What one run asked of the kernel that it should not."""

    connections: list[str]
    """Calls of the network, and files that look a name up."""
    foreign: list[str]
    """Attempts to write outside the program's own folders."""
    identities: list[str]
    """Reads of what tells this computer from others."""
    calls: int
    """That were looked at."""
    said: str = ""
    """By the program, on standard output."""

    @property
    def clean(self) -> bool:
        return not (self.connections or self.foreign or self.identities)


def traced(command: Sequence[str], place: Path, timeout: float) -> Traced:
    """Run a command in a home of its own below `place`, and follow it and all that it starts."""
    place = place.resolve()
    home, work, temporary = (place / name for name in ("home", "work", "tmp"))
    for folder in (home, work, temporary):
        folder.mkdir()
    trace = place / "trace"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "EDGELEUK_", "ORT_"))}
    # As in the service; else Python keeps what it compiled beside the modules.
    environment = kept | {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [
            "strace", "-f", "-y", "-qq", "--seccomp-bpf", "-e", "trace=%network,%file", "-e", "signal=none", "-o", str(trace),
            *command,
        ],
        env=environment, cwd=work, capture_output=True, text=True, check=False, timeout=timeout,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    found = judged(trace.read_text(errors="replace").splitlines(), home, work, temporary)
    left = [path for path in (*home.rglob("*"), *temporary.rglob("*")) if path.is_file()]
    strange = [str(path) for path in left if home / ".local/share/edgeleuk" not in path.parents]
    return replace(found, foreign=found.foreign + strange, said=done.stdout)


def judged(lines: list[str], home: Path, work: Path, temporary: Path) -> Traced:
    """Sort the calls of a trace."""
    connections, foreign, identities = [], [], []
    own = home / ".local/share/edgeleuk"
    for line in lines:
        if not (call := CALL.match(line)):
            continue
        name, arguments = call["name"], call["arguments"]
        paths = list(_paths(arguments, work))
        if name in NETWORK or any(LOOK_UP.search(str(path)) for path in paths):
            connections.append(line)
        if any(IDENTITY.search(str(path)) for path in paths):
            identities.append(line)
        writing = CHANGING.match(name) or (name in OPENING and WRITING.search(arguments))
        if not writing or (paths == [temporary] and NAMELESS in arguments):
            continue
        above = own.parents if name == "mkdir" else ()
        if any(path not in above and not _inside(path, (work, own)) for path in paths):
            foreign.append(line)
    return Traced(connections, foreign, identities, len(lines))


def _paths(arguments: str, work: Path) -> Iterator[Path]:
    for found in PATH.finditer(arguments):
        yield Path(os.path.normpath(Path(found["folder"] or work, found["path"])))


def _inside(path: Path, folders: Iterable[Path]) -> bool:
    return str(path) in HARMLESS or any(path == folder or folder in path.parents for folder in folders)


def main(seconds: str = "60") -> int:
    if not shutil.which("strace"):
        sys.exit("strace is not installed: system calls cannot be followed")
    clean = True
    for command in (ANALYZE, (*LIVE, seconds)):
        with tempfile.TemporaryDirectory() as place:
            found = traced(command, Path(place), float(seconds) + 600)
        fields = len(re.findall(r" field +field \d+: ", found.said))
        counted = f", {fields} fields counted" if command is not ANALYZE else ""
        print(f"{' '.join(command[3:])}: {found.calls} calls followed{counted}")
        for what in ("connections", "foreign", "identities"):
            each = getattr(found, what)
            print(f"  {what}: {len(each) or 'none'}", *each, sep="\n    ")
        clean &= found.clean
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
