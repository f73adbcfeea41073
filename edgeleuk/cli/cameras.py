"""`edgeleuk cameras`: cameras of this machine, and their use."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from edgeleuk.cli._console import print_json, results
from edgeleuk.cli._options import JsonOption
from edgeleuk.system.sentences import said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeleuk.sources._v4l2 import Device, Mode

MOST_SIZES = 4
"""Maximum sizes listed per format, largest first.

A camera may have dozens.
"""


def cameras(as_json: JsonOption = False) -> None:
    """List the cameras of this machine, what each can give, and other sources. No camera is started."""
    from importlib.util import find_spec

    from edgeleuk.sources import picamera
    from edgeleuk.sources._v4l2 import devices

    of_pi, found = picamera.names(), devices()
    has_library = find_spec("picamera2") is not None
    if as_json:
        print_json(document(found, of_pi, has_library))
    else:
        results().print(text(found, of_pi, has_library), soft_wrap=True)


def document(found: Sequence[Device], of_pi: Sequence[str], has_library: bool) -> dict[str, Any]:
    """Return the cameras as a document ready for JSON.

    Args:
        found: Devices of the system.
        of_pi: Names of the Pi's own cameras.
        has_library: Whether picamera2 is installed.

    Returns:
        Each camera with the `source` that opens it, devices that give no images, and the other kinds of sources.
    """
    from edgeleuk.sources import KINDS

    return {
        "cameras": [
            *({"source": f"picamera:{number}", "name": name} for number, name in enumerate(of_pi)),
            *(
                {
                    "source": f"usb:{device.number}",
                    "name": device.name,
                    "driver": device.driver,
                    "modes": [
                        {"fourcc": mode.fourcc, "width": mode.width, "height": mode.height}
                        for mode in device.modes
                    ],
                }
                for device in usable(found)
            ),
        ],
        "unusable": [
            {"device": device.path, "name": device.name, "problem": device.problem}
            for device in found
            if device.problem
        ],
        "picamera2": has_library,
        "sources": KINDS.split(", "),
    }


def text(found: Sequence[Device], of_pi: Sequence[str], has_library: bool) -> str:
    """Return the cameras as text, one per paragraph.

    Args:
        found: Devices of the system.
        of_pi: Names of the Pi's own cameras.
        has_library: Whether picamera2 is installed.
    """
    from edgeleuk.sources import KINDS

    parts = [f"{name}\n  edgeleuk live --source picamera:{number}" for number, name in enumerate(of_pi)]
    parts += [_paragraph(device) for device in usable(found)]
    if not parts:
        parts.append(
            said(
                "No camera was found. Connect one and ask again; a phone can be one over the network (http://…)."
            )
        )
    parts += [
        said(f"{device.name} ({device.path}) cannot be used: {device.problem}")
        for device in found
        if device.problem
    ]
    if any(device.of_pi for device in found) and not has_library:
        parts.append(
            said(
                "A Raspberry Pi's own camera needs picamera2: sudo apt install python3-picamera2, "
                "and a virtual environment made with --system-site-packages."
            )
        )
    parts.append(said(f"Sources: {KINDS}"))
    return "\n\n".join(parts)


def usable(found: Sequence[Device]) -> list[Device]:
    """Return the devices that give images by themselves.

    The Pi's own cameras come through picamera2.
    """
    return [device for device in found if device.captures and not device.of_pi]


def _paragraph(device: Device) -> str:
    lines = [f"{device.name} ({device.path})"]
    by_format: dict[str, list[Mode]] = defaultdict(list)
    for mode in device.modes:
        by_format[mode.fourcc].append(mode)
    for fourcc, modes in by_format.items():
        largest = sorted({(m.width * m.height, m.width, m.height) for m in modes}, reverse=True)[:MOST_SIZES]
        lines.append(f"  {fourcc}: {', '.join(f'{width} x {height}' for _, width, height in largest)}")
    return "\n".join([*lines, f"  edgeleuk live --source usb:{device.number}"])
