"""Processor, memory and stored benchmark setting of this machine.

`edgeleuk bench` measures how networks run best and stores a note. The note names the processor and the
onnxruntime it was measured with; on any other it is not used.
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

from edgeleuk.errors import OutputError
from edgeleuk.system import file_io, user_paths

Arithmetic = Literal["int8", "float"]
"""Number format of convolutions: 8-bit integers or float.

Float computes on the same rounded values. Processors without instructions for 8-bit dot products, such as a
Raspberry Pi 4's, may be faster in float; the results are the same to within rounding.
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """Options for opening networks."""

    threads: int | None = None
    """Number of threads; None for one per core."""
    arithmetic: Arithmetic = "int8"


VARIABLE = "EDGELEUK_MACHINE"
"""Environment variable with the path of the note."""
ARITHMETICS: tuple[Arithmetic, ...] = ("int8", "float")
DEFAULT = Setting()
CPUINFO = Path("/proc/cpuinfo")
M_ARENA_MAX = -8
"""Number of the option in glibc's malloc.h."""
VNNI = frozenset({"avx512_vnni", "avx_vnni"})
"""VNNI instruction sets, as named in /proc/cpuinfo.

These x86 instructions add four 8-bit products in 32 bits at once.
"""


def path() -> Path:
    """Return the path of the benchmark note.

    It is the value of EDGELEUK_MACHINE, or edgeleuk/machine.json in the user's configuration folder.

    Raises:
        OutputError: The user has no home folder.
    """
    homeless = OutputError(
        f"this user has no home folder to keep the machine's setting in. Name a file in {VARIABLE}."
    )
    return user_paths.users("machine.json", "config", VARIABLE, homeless)


def processor() -> str:
    """Return the processor's name as the kernel reports it."""
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
    """Return the processor's features as the kernel names them.

    They stand in the line "Features" on Arm and "flags" on x86. Empty where the kernel does not report them.
    """
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    line = re.search(r"^(?:Features|flags)\s*:(.*)$", text, re.MULTILINE)
    return frozenset(line[1].split()) if line else frozenset()


def fingerprint() -> dict[str, str | int | None]:
    """Return what a benchmark result is tied to.

    These are processor, number of cores and version of onnxruntime.
    """
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "onnxruntime": metadata.version("onnxruntime"),
    }


def save(setting: Setting) -> Path:
    """Write the benchmark note and return its path.

    Raises:
        OutputError: It cannot be written.
    """
    target = path()
    text = json.dumps({"machine": fingerprint(), "setting": asdict(setting)}, indent=2) + "\n"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        file_io.write_whole(target, text.encode())
    except OSError as error:
        raise OutputError(
            f"cannot write {target}: {error.strerror}. Set EDGELEUK_MACHINE to a file that can be written."
        ) from error
    setting_here.cache_clear()
    return target


@cache
def setting_here() -> Setting:
    """Return the setting measured on this machine, or the default.

    The default also replaces a note of another machine, and one that cannot be read, which is no reason to
    stop a count: the default always works.
    """
    try:
        document = file_io.read_json(path())
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
    """Return freed memory to the system (glibc only).

    Freed memory often lies between memory in use, and glibc by itself returns only what lies at the end.
    Takes 1 to 2 ms, and what is returned must be requested again: for a field of 1280 x 720 that was 4000
    pages.
    """
    if trim := _of_c_library("malloc_trim"):
        trim(0)


def share_heap() -> None:
    """Let all threads share one memory arena (glibc only).

    Does nothing if MALLOC_ARENA_MAX is set. Call it before any thread starts.

    By default glibc gives each thread an arena, and memory freed in one is not available to the others: a
    slide of 104 pictures of 12 megapixels in two threads then took 460 to 480 MB instead of 360 to 410, and 4
    % longer.
    """
    if "MALLOC_ARENA_MAX" not in os.environ and (set_option := _of_c_library("mallopt")):
        set_option(M_ARENA_MAX, 1)


@cache
def _of_c_library(name: str) -> Callable[..., int] | None:
    try:
        found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    except (OSError, TypeError):  # no C library can be loaded this way
        return None
    return found
