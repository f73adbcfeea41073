"""Camera checks: present, permitted, and delivering images."""

from __future__ import annotations

import grp
import os
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path

from edgeleuk.doctor.findings import Finding, State
from edgeleuk.errors import EdgeleukError, StoreError
from edgeleuk.sessions import claim_source
from edgeleuk.sources import open_source, picamera
from edgeleuk.sources._v4l2 import Device, devices
from edgeleuk.sources.camera import Source
from edgeleuk.sources.capture import Capture
from edgeleuk.system.wording import command

GROUP = "video"
JOIN, THEN = 'sudo usermod -aG video "$USER"', "Then log in again."
PICAMERA, SITE = (
    "sudo apt install python3-picamera2",
    "And a virtual environment made with --system-site-packages.",
)
FIRST_S = 15.0
"""Timeout for the first image, seconds."""

Opener = Callable[[str], Source]


def cameras(
    *, opened: Opener | None = open_source, telling: Callable[[str], None] = lambda _: None
) -> Iterator[Finding]:
    """Check each camera by taking an image with it.

    Yields one finding per camera, or one that there is none. A camera that a count is using is left alone.

    Args:
        opened: Opens a camera by its source; None starts no camera.
        telling: Called with a message before each camera is started.
    """
    found = devices()
    usable = {f"usb:{each.number}": each.name for each in found if each.captures and not each.of_pi}
    of_pi = {f"picamera:{number}": name for number, name in enumerate(picamera.names())}
    for source, name in (of_pi | usable).items():
        if opened:
            telling(f"taking a picture with {source}")
        yield _camera(source, name, opened)
    for device in found:
        if device.problem:
            yield _forbidden(device)
    needs_library = any(device.of_pi for device in found) and util.find_spec("picamera2") is None
    if needs_library:
        said = "This is a Raspberry Pi, and picamera2, which reads its own cameras, is not here."
        yield Finding("picamera2", "warning", said, PICAMERA, SITE)
    if not usable and not of_pi and not any(device.problem for device in found):
        said = "No camera was found. Pictures can be analysed without one; a live count needs one."
        advice = "Connect one first; a ribbon cable with the power off."
        yield Finding("cameras", "warning", said, command("cameras"), advice)


def _camera(source: str, name: str, opened: Opener | None) -> Finding:
    check, facts = f"camera {source}", {"name": name, "source": source}
    if opened is None:
        return Finding(check, "ok", f"{name} is there; no picture was taken.", facts=facts)
    try:
        with claim_source(source), Capture(lambda: opened(source)) as capture:
            timed = capture.next(FIRST_S)
    except StoreError as error:
        said = f"{name} is there, and not asked: {error}"
        return Finding(check, "ok", said, facts=facts | {"in_use": True})
    except EdgeleukError as error:
        return Finding(check, "failure", f"{name}: {error}", command("cameras"), facts=facts)
    if timed is None:
        said = f"{name} was opened, and gave no picture in {FIRST_S:g} s."
        advice = "Close other programs that use it, and plug it in again."
        return Finding(check, "failure", said, command("cameras"), advice, facts)
    width, height = timed.frame.width, timed.frame.height
    said = f"{name} gives pictures of {width} x {height} pixels."
    return Finding(check, "ok", said, facts=facts | {"width": width, "height": height})


def _forbidden(device: Device) -> Finding:
    permitted = os.access(device.path, os.R_OK | os.W_OK)
    # A node that is no camera, such as a codec, hinders nobody.
    state: State = "warning" if permitted else "failure"
    check, said = f"device {device.path}", f"{device.name}: {device.problem}"
    return Finding(check, state, said, *((command("cameras"),) if permitted else (JOIN, THEN)))


def groups(nodes: Path = Path("/dev")) -> Finding:
    """Check whether this user may use cameras.

    Root and members of the group `video` may, and everybody where no device asks for the group.
    """
    cameras_here = sorted(str(path) for path in nodes.glob("video*"))
    names = sorted(filter(None, map(_group, {os.getegid(), *os.getgroups()})))
    facts = {"member": GROUP in names, "root": os.geteuid() == 0, "devices": len(cameras_here)}
    if facts["root"]:
        return Finding("groups", "ok", "Everything is permitted to root.", facts=facts)
    if facts["member"]:
        return Finding(
            "groups", "ok", f"This user is in the group {GROUP}, which may use cameras.", facts=facts
        )
    if not cameras_here or all(os.access(path, os.R_OK | os.W_OK) for path in cameras_here):
        return Finding(
            "groups",
            "ok",
            f"This user is not in the group {GROUP}, and no camera here asks for it.",
            facts=facts,
        )
    return Finding(
        "groups",
        "failure",
        f"This user is not in the group {GROUP}, and may not use cameras.",
        JOIN,
        THEN,
        facts,
    )


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return ""
