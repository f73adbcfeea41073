"""Settings of a control slide, as `edgeleuk qc set` takes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgeleuk.errors import UsageError

if TYPE_CHECKING:
    from edgeleuk.quality_control.control import Control, Expected
    from edgeleuk.sessions import Store


def changed(before: Control | None, name: str, mag: str | None) -> Control:
    """Return the control to change, or a new one."""
    from edgeleuk.models import registry
    from edgeleuk.quality_control.control import Control

    if before is None:
        return Control(name, name, registry.load(mag or "100x").magnification)
    if mag and not registry.same_objective(mag, before.magnification):
        raise UsageError(
            f"control slide {name} is of {before.magnification}. Give the one for {mag} another name, or retire this one."
        )
    return before


def with_established(opened: Store, control: Control, sessions: int, folder: Path | None) -> Control:
    """Return the control with values from its first sessions.

    Raises:
        UsageError: There are fewer sessions than asked for.
    """
    from edgeleuk.cli._control_count import established, model_of
    from edgeleuk.quality_control.quantities import establish

    model = model_of(folder, control)
    expected = establish(established(opened, control, sessions, model))
    return replace(control, expected=expected, model_version=model.version)


def with_expected(control: Control, means: list[str], ranges: list[str], leave_out: list[str]) -> Control:
    """Return the control with values entered by hand.

    Raises:
        UsageError: A value or a name makes no sense.
    """
    from edgeleuk.quality_control.control import Expected

    entered = [Expected(name, mean, sd) for name, mean, sd in (_pair(text, "--expect") for text in means)]
    for text in ranges:
        name, low, high = _pair(text, "--range")
        if high <= low:
            raise UsageError(f"--range {text}: the upper end is not above the lower one.")
        entered.append(Expected(name, (low + high) / 2, (high - low) / 4))
    for each in entered:
        _require_possible(each, control)
    kept = {each.quantity: each for each in control.expected} | {each.quantity: each for each in entered}
    if unknown := [each for each in leave_out if each not in kept]:
        raise UsageError(
            f"--leave-out {unknown[0]}: not checked. Checked: {', '.join(kept) or 'nothing yet'}."
        )
    return replace(control, expected=tuple(each for name, each in kept.items() if name not in leave_out))


def _pair(text: str, option: str) -> tuple[str, float, float]:
    name, _, numbers = text.partition("=")
    try:
        one, other = (float(each) for each in numbers.split(","))
        if not (0 <= one < 1e6 and 0 <= other < 1e6):
            raise ValueError
    except ValueError as error:
        raise UsageError(
            f"{option} {text} is not understood. Write a name and two numbers, as neutrophil=60,4."
        ) from error
    return name.strip(), one, other


def _require_possible(expected: Expected, control: Control) -> None:
    from edgeleuk.models import registry
    from edgeleuk.quality_control.quantities import NOT_RECOGNISED, PER_1000_RED_CELLS, UM_PER_PX

    labels = registry.load(control.magnification).reader.labels
    names = [*labels, NOT_RECOGNISED, PER_1000_RED_CELLS, UM_PER_PX]
    if expected.quantity not in names:
        raise UsageError(f"there is no quantity {expected.quantity}. There are: {', '.join(names)}.")
    if expected.quantity in (*labels, NOT_RECOGNISED) and expected.mean > 100:
        raise UsageError(f"{expected.quantity} is in per cent; {expected.mean:g} is above 100.")
    if expected.sd <= 0:
        raise UsageError(f"the SD of {expected.quantity} is 0. Give one above 0.")
