"""What this machine can do: its processor, how it runs networks best as `edgeleuk bench` measured it, and its memory.

The note names the processor and the onnxruntime it was measured with; on any other it is not used.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Literal

from edgeleuk import _files, folders
from edgeleuk.errors import OutputError

Arithmetic = Literal["int8", "float"]
"""How convolutions are computed: in 8-bit integers, or in float on the same rounded values. Processors without
instructions for 8-bit dot products, as a Raspberry Pi 4's, may be faster in float; the results are the same to
within rounding."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What networks are opened with."""

    threads: int | None = None
    """None for as many as there are cores."""
    arithmetic: Arithmetic = "int8"


VARIABLE = "EDGELEUK_MACHINE"
"""Environment variable that names the file of the note."""
ARITHMETICS: tuple[Arithmetic, ...] = ("int8", "float")
DEFAULT = Setting()
CPUINFO = Path("/proc/cpuinfo")
M_ARENA_MAX = -8
"""The option's number in glibc's malloc.h."""
VNNI = frozenset({"avx512_vnni", "avx_vnni"})
"""x86 instructions that add four 8-bit products in 32 bits at once, by their names in /proc/cpuinfo."""


def path() -> Path:
    """Where the note lies: EDGELEUK_MACHINE, or edgeleuk/machine.json in the user's configuration folder.

    Raises OutputError for a user without home.
    """
    homeless = OutputError(
        f"this user has no home folder to keep the machine's setting in. Name a file in {VARIABLE}."
    )
    return folders.users("machine.json", "config", VARIABLE, homeless)


def processor() -> str:
    """The processor's name, as the kernel tells it."""
    names = ("model name", "Model", "Hardware")
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for name in names:
        for line in lines:
            key, _, value = line.partition(":")
            if key.strip() == name and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def flags(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """The processor's features as the kernel names them: Arm's line "Features", x86's line "flags". None where it does
    not tell."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    line = re.search(r"^(?:Features|flags)\s*:(.*)$", text, re.MULTILINE)
    return frozenset(line[1].split()) if line else frozenset()


def fingerprint() -> dict[str, str | int | None]:
    """What a measurement is only good for."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "onnxruntime": metadata.version("onnxruntime"),
    }


def save(setting: Setting) -> Path:
    """Write the note. Raises OutputError."""
    target = path()
    text = json.dumps({"machine": fingerprint(), "setting": asdict(setting)}, indent=2) + "\n"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _files.write_whole(target, text.encode())
    except OSError as error:
        raise OutputError(
            f"cannot write {target}: {error.strerror}. Set EDGELEUK_MACHINE to a file that can be written."
        ) from error
    setting_here.cache_clear()
    return target


@cache
def setting_here() -> Setting:
    """The setting measured on this machine, or the default where there is none or it is of another machine.

    A note that cannot be read is no reason to stop a count: the default always works.
    """
    try:
        document = _files.read_json(path())
        if document["machine"] != fingerprint():
            return DEFAULT
        threads, arithmetic = document["setting"]["threads"], document["setting"]["arithmetic"]
    except (OSError, OutputError, ValueError, KeyError, TypeError):
        return DEFAULT
    if arithmetic not in ("int8", "float") or not (
        threads is None or (isinstance(threads, int) and threads > 0)
    ):
        return DEFAULT
    return Setting(threads, arithmetic)


def give_back() -> None:
    """Return freed memory to the system, where the C library can be told to (glibc).

    What was freed often lies between what is kept, and glibc gives back only what lies at the end. Takes 1 to 2 ms, and what
    is given back must be asked for again: for a field of 1280 x 720 that was 4000 pages.
    """
    if trim := _of_c_library("malloc_trim"):
        trim(0)


def share_heap() -> None:
    """Let all threads of this process take memory from one place (glibc), unless MALLOC_ARENA_MAX says otherwise. To be
    called before there are any.

    Left alone, glibc gives each thread an arena, and what is freed in one is not there for the others: a slide of 104
    pictures of 12 megapixels in two threads then took 460 to 480 MB instead of 360 to 410, and 4 % longer.
    """
    if "MALLOC_ARENA_MAX" not in os.environ and (set_option := _of_c_library("mallopt")):
        set_option(M_ARENA_MAX, 1)


@cache
def _of_c_library(name: str) -> Callable[..., int] | None:
    try:
        found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    except (OSError, TypeError):  # a system without a C library of its own to look into
        return None
    return found
