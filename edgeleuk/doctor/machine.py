"""Machine checks: processor, memory, Python and libraries."""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path

import edgeleuk
from edgeleuk.doctor.findings import Finding, State
from edgeleuk.system import machine
from edgeleuk.system.wording import command

DOT_PRODUCTS = {
    "asimddp": "8-bit dot products",
    "i8mm": "8-bit matrix products",
    "avx512_vnni": "8-bit dot products",
    "avx_vnni": "8-bit dot products",
}
"""Flags in /proc/cpuinfo that make 8-bit networks fast.

They stand for instructions: Arm's FEAT_DotProd and FEAT_I8MM (https://docs.kernel.org/arch/arm64/elf_hwcaps.html), and
Intel's VNNI. A Raspberry Pi 5 has asimddp, a Pi 4 has none.
"""
VECTORS = ("asimd", "avx512f", "avx2")
ARCHITECTURES = ("aarch64", "x86_64")
"""Architectures that onnxruntime has wheels for."""
PYTHON = (3, 11)
LIBRARIES = ("jinja2", "msgspec", "numpy", "onnxruntime", "rich", "simplejpeg", "typer")
OPENCV = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
)
"""Packages that provide OpenCV; one is needed.

Debian's own OpenCV has no entry among the Python packages.
"""
LEAST_MB, ENOUGH_MB = 250, 500
"""Free memory for an analysis, and for a live count, MB.

Peak resident memory, measured: 130 MB to analyse the sample, 370 MB for a live count of 1280 x 720 pixels with its
simulated camera.
"""
CLOSE = "Close other programs, a browser first; the command shows the largest."
BUNDLED = Path("/opt/edgeleuk")
"""Folder that the offline bundle installs into."""


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Finding:
    """Check the architecture, and whether 8-bit networks run fast."""
    kind, bits = platform.machine(), 64 if sys.maxsize > 2**32 else 32
    found = machine.flags(cpuinfo)
    fast = [name for name in DOT_PRODUCTS if name in found]
    facts = {
        "architecture": kind,
        "bits": bits,
        "processor": machine.processor(),
        "cores": machine.fingerprint()["cores"],
        "dot_products": fast,
        "vectors": [name for name in VECTORS if name in found],
        "setting": {
            "threads": machine.setting_here().threads,
            "arithmetic": machine.setting_here().arithmetic,
            "measured": machine.setting_here() != machine.DEFAULT,
        },
    }
    # If the kernel gives no name, the architecture stands for it.
    about = ", ".join(dict.fromkeys((str(facts["processor"]), kind, f"{facts['cores']} cores")))
    if kind not in ARCHITECTURES or bits == 32:
        said = f"{about}, {bits}-bit: onnxruntime, which runs the networks, is made for 64-bit systems."
        return Finding(
            "processor", "failure", said, advice="Write the card anew with a 64-bit system.", facts=facts
        )
    if fast:
        return Finding("processor", "ok", f"{about}, with {DOT_PRODUCTS[fast[0]]} ({fast[0]}).", facts=facts)
    said = f"{about}, without 8-bit dot products: float may be the faster arithmetic."
    if machine.path().exists():
        return Finding("processor", "ok", f"{said} `{command('bench')}` has measured it.", facts=facts)
    return Finding(
        "processor",
        "warning",
        said,
        command("bench"),
        "It measures both, which takes minutes, and remembers the faster one.",
        facts,
    )


def memory(meminfo: Path = Path("/proc/meminfo")) -> Finding:
    """Check total and free memory."""
    total, free, least = _sizes(meminfo)
    if free is None:
        return Finding("memory", "warning", "the kernel does not tell how much there is.")
    said = f"{'at least ' if least else ''}{free:.0f} of {total:.0f} MB are free."
    facts = {"total_mb": round(total), "free_mb": round(free), "at_least": least}
    if free >= ENOUGH_MB:
        return Finding("memory", "ok", said, facts=facts)
    needs = f"{said} A count needs about {ENOUGH_MB} MB, an analysis {LEAST_MB} MB."
    state: State = "failure" if free < LEAST_MB and not least else "warning"
    return Finding("memory", state, needs, "ps aux --sort=-rss | head", CLOSE, facts)


def _sizes(meminfo: Path) -> tuple[float, float | None, bool]:
    """Return total MB, available MB, and whether these are minima.

    An emulator or a container may not show the kernel's file. Then unused memory is returned, which is less than the
    available memory.
    """
    try:
        pairs = re.findall(r"^(\w+):\s+(\d+) kB", meminfo.read_text(), re.MULTILINE)
        sizes = {name: int(kilobytes) * 1024 / 1e6 for name, kilobytes in pairs}
        return sizes["MemTotal"], sizes["MemAvailable"], False
    except (OSError, KeyError):
        pass
    try:
        page_mb = os.sysconf("SC_PAGE_SIZE") / 1e6
        total, unused = os.sysconf("SC_PHYS_PAGES") * page_mb, os.sysconf("SC_AVPHYS_PAGES") * page_mb
    except (OSError, ValueError):
        return 0.0, None, True
    return (total, unused, True) if total > 0 and unused >= 0 else (0.0, None, True)


def python() -> Finding:
    """Check the version of the Python interpreter."""
    version = platform.python_version()
    facts = {"version": version, "virtual_environment": sys.prefix != sys.base_prefix}
    if sys.version_info < PYTHON:
        needed = ".".join(map(str, PYTHON))
        said = f"Python {version}; edgeleuk needs {needed} or newer."
        return Finding("python", "failure", said, f"sudo apt install python{needed}", facts=facts)
    return Finding("python", "ok", f"Python {version}.", facts=facts)


def again(*options: str) -> tuple[str, str]:
    """Return the reinstall command, and where to run it.

    It installs edgeleuk in the same way as it was installed.
    """
    if BUNDLED in Path(edgeleuk.__file__).parents:
        return "sudo bash install.sh", "In the folder of the unpacked bundle; sessions and options stay."
    return shlex.join(
        ["pip", "install", *options, "."]
    ), "In the folder of edgeleuk's source, with its environment active."


def libraries() -> Finding:
    """Check that the required libraries are present and recent enough."""
    versions = {name: _version(name) for name in LIBRARIES}
    versions["opencv"] = next(filter(None, map(_version, OPENCV)), None) or _version_of_cv2()
    missing = [name for name, version in versions.items() if version is None]
    old = [f"{name} {versions[name]} (needed: {least})" for name, least in _too_old(versions)]
    facts = {"versions": versions, "missing": missing, "too_old": old}
    if missing or old:
        what = "; ".join([*(f"{name} is not installed" for name in missing), *old])
        return Finding("libraries", "failure", f"{what}.", *again(), facts)
    said = ", ".join(f"{name} {version}" for name, version in versions.items())
    return Finding("libraries", "ok", f"{said}.", facts=facts)


def extras() -> Finding:
    """List the optional parts that are installed.

    Nothing is a failure: a command that needs one says so itself.
    """
    here = {
        "signing": util.find_spec("cryptography") is not None,
        "picamera2": util.find_spec("picamera2") is not None,
        "heif": util.find_spec("pillow_heif") is not None,
        "eval": util.find_spec("faster_coco_eval") is not None,
        "train": util.find_spec("torch") is not None,
    }
    names = ", ".join(name for name, found in here.items() if found) or "none"
    return Finding("optional parts", "ok", f"{names}.", facts=here)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _version_of_cv2() -> str | None:
    """Return the version of the system's own OpenCV."""
    try:
        import cv2
    except ImportError:
        return None
    return str(cv2.__version__)


def _too_old(versions: dict[str, str | None]) -> Iterator[tuple[str, str]]:
    """Yield outdated libraries with their minimum version.

    Yields nothing unless edgeleuk was installed as a package that states its requirements.
    """
    try:
        required = metadata.requires("edgeleuk") or []
    except metadata.PackageNotFoundError:
        return
    for requirement in required:
        if match := re.match(r"([\w-]+?)(?:-python-headless)?>=([\d.]+)$", requirement):
            name, least = match.groups()
            version = versions.get(name)
            if version is not None and _numbers(version) < _numbers(least):
                yield name, least


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
