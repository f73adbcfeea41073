"""Power and temperature checks, for a Raspberry Pi."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from edgeleuk.doctor.findings import Finding, State

BITS = {
    0: "the voltage is too low",
    1: "the clock rate is capped",
    2: "it is throttled",
    3: "the soft temperature limit is reached",
}
"""Bits of `vcgencmd get_throttled` for the present state.

The same bits 16 places higher stand for the time since the start. Section get_throttled of
https://www.raspberrypi.com/documentation/computers/os.html#vcgencmd.
"""
SINCE_START = 16
SYSFS = "sys/devices/platform/soc/soc:firmware/get_throttled"
"""Path of the flags in the Raspberry Pi's own kernel.

Hexadecimal, without 0x. https://github.com/raspberrypi/linux, drivers/firmware/raspberrypi.c
"""
HWMON = "rpi_volt"
"""Name of the kernel's voltage sensor.

Its in0_lcrit_alarm is 1 when the voltage was too low: https://docs.kernel.org/hwmon/raspberrypi-hwmon.html.
"""
HOT_C = 80.0
"""Temperature at which a Raspberry Pi begins to throttle, °C.

https://www.raspberrypi.com/documentation/computers/raspberry-pi.html, frequency management and thermal control.
"""
SUPPLY = "Use the Pi's own supply (5 V 3 A; Pi 5: 5 V 5 A) and a short cable. After a new start 0x0 is right."
COOL = "Add a heat sink or a fan, and keep it out of the sun."
ASK, ASK_HEAT = "vcgencmd get_throttled", "vcgencmd measure_temp"


def power(root: Path = Path("/"), vcgencmd: Callable[[], str] | None = None) -> Iterator[Finding]:
    """Check undervoltage, throttling and temperature.

    On a computer that is no Raspberry Pi, one finding says that there is nothing to ask.
    """
    word = throttled(root, vcgencmd or _vcgencmd)
    alarm = _alarm(root)
    if word is not None:
        yield _throttling(word)
    elif alarm is not None:
        said = "The voltage was too low." if alarm else "The voltage was never too low since the start."
        facts = {"undervoltage": alarm}
        if alarm:
            yield Finding("power", "warning", said, ASK, SUPPLY, facts)
        else:
            yield Finding("power", "ok", said, facts=facts)
    else:
        said = "This computer does not tell of undervoltage or throttling, as only a Raspberry Pi does."
        yield Finding("power", "ok", said, facts={"told": False})
    temperature = _temperature(root)
    if temperature is None:
        return
    said, celsius = f"{temperature:.0f} °C.", {"celsius": round(temperature, 1)}
    if temperature < HOT_C:
        yield Finding("temperature", "ok", said, facts=celsius)
    else:
        yield Finding(
            "temperature", "warning", f"{said} From {HOT_C:.0f} °C on it slows down.", ASK_HEAT, COOL, celsius
        )


def throttled(root: Path, vcgencmd: Callable[[], str]) -> int | None:
    """Return the throttling flags, or None if unavailable."""
    try:
        return int((root / SYSFS).read_text().strip(), 16)
    except (OSError, ValueError):
        pass
    try:
        return int(vcgencmd().strip().removeprefix("throttled="), 16)
    except ValueError:
        return None


def _throttling(word: int) -> Finding:
    now = [text for bit, text in BITS.items() if word >> bit & 1]
    before = [text for bit, text in BITS.items() if word >> (bit + SINCE_START) & 1 and text not in now]
    facts = {"throttled": hex(word), "now": now, "since_start": before}
    if not now and not before:
        return Finding("power", "ok", "Voltage and heat were never a hindrance since the start.", facts=facts)
    parts = [f"Now {', '.join(now)}."] if now else []
    if before:
        parts.append(f"Since the start, at some time: {', '.join(before)}.")
    low = BITS[0] in now or BITS[0] in before
    # Data written while the voltage is too low may be corrupt.
    state: State = "failure" if BITS[0] in now else "warning"
    return Finding("power", state, f"{' '.join(parts)} ({hex(word)})", ASK, SUPPLY if low else COOL, facts)


def _alarm(root: Path) -> bool | None:
    for name in sorted((root / "sys/class/hwmon").glob("hwmon*/name")):
        try:
            if name.read_text().strip() == HWMON:
                return (name.parent / "in0_lcrit_alarm").read_text().strip() == "1"
        except OSError:
            continue
    return None


def _temperature(root: Path) -> float | None:
    """Return the temperature of the hottest processor, °C."""
    found = []
    for kind in (root / "sys/class/thermal").glob("thermal_zone*/type"):
        try:
            if "cpu" in kind.read_text().lower() or "x86_pkg" in kind.read_text():
                found.append(int((kind.parent / "temp").read_text()) / 1000)
        except (OSError, ValueError):
            continue
    return max(found, default=None)


def _vcgencmd() -> str:
    program = shutil.which("vcgencmd")
    if program is None:
        return ""
    try:
        asked = subprocess.run(
            [program, "get_throttled"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout
