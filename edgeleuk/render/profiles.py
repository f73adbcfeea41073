"""Device profiles as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeleuk.device.profiles import Profile
from edgeleuk.errors import EdgeleukError
from edgeleuk.system.language import _, figure, word
from edgeleuk.system.wording import command


def listing(found: Mapping[str, Profile | EdgeleukError], folder: Path) -> RenderableType:
    """Return a row per profile.

    A profile that cannot be read says so.
    """
    if not found:
        return Text(
            _("No profiles in {folder}. Make one with `{calibrate} NAME`.").format(
                folder=folder, calibrate=command("calibrate")
            )
        )
    table = Table(box=box.SIMPLE_HEAD)
    heads = (
        _("profile"), _("objective"), _("picture"), _("um per px"), _("light"), _("stain"), _("made"),
    )  # fmt: skip
    for name in heads:
        table.add_column(name)
    for name, profile in found.items():
        if isinstance(profile, EdgeleukError):
            table.add_row(name, _unreadable())
            continue
        scale = figure(f"{profile.scale.um_per_px_x:.4g}") if profile.scale else "–"
        table.add_row(
            name, profile.magnification, f"{profile.picture.width} x {profile.picture.height}", scale,
            _("yes") if profile.light else "–", _("yes") if profile.stain else "–", profile.made[:10],
        )  # fmt: skip
    return table


def _unreadable() -> Text:
    text = _("cannot be read; `{profiles_show}` says why").format(profiles_show=command("profiles show"))
    return Text(text, style="red")


def card(profile: Profile, path: Path) -> RenderableType:
    """Return all facts of one device profile."""
    table = Table(box=None, show_header=False, width=78)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _facts(profile):
        table.add_row(name, value)
    title = _("profile {name}, {objective}, made {made}").format(
        name=profile.name, objective=profile.magnification, made=profile.made
    )
    return Group(Text(title, style="bold"), table, Text(str(path), style="dim"))


def _facts(profile: Profile) -> Iterable[tuple[str, str]]:
    sides = _("{width} x {height} px, or the same shape at other sizes")
    yield _("picture"), sides.format(width=profile.picture.width, height=profile.picture.height)
    if scale := profile.scale:
        cells = _(", {n} of them").format(n=scale.red_cells) if scale.red_cells else ""
        x, y = (figure(f"{axis:.5g}") for axis in (scale.um_per_px_x, scale.um_per_px_y))
        axes = _("{x} um per px").format(x=x)
        if abs(scale.um_per_px_x / scale.um_per_px_y - 1) > 1e-4:
            axes = _("{x} um per px across, {y} down").format(x=x, y=y)
        error = figure(f"{scale.relative_error:.1%}")
        yield (
            _("scale"),
            _("{axes}, to {error} (from the {source})").format(
                axes=axes, error=error, source=f"{word(scale.measured_on)}{cells}"
            ),
        )
    else:
        yield _("scale"), _("not measured: each picture's red cells tell it")
    if profile.light:
        grid = profile.light.grid
        lost = 1 - grid.min(axis=(0, 1)).mean() / grid.max(axis=(0, 1)).mean()
        text = _("measured on an empty field; its darkest part has {percent} less than its brightest")
        yield _("light"), text.format(percent=figure(f"{lost:.0%}"))
    else:
        yield _("light"), _("not measured: no shading is put right")
    if stain := profile.stain:
        text = _("from {cells} white cells in {fields} fields")
        yield _("stain"), text.format(cells=stain.white_cells, fields=stain.fields)
        yield "", _("background {levels}").format(levels=_levels(stain.background))
        yield (
            "",
            _("red cells {red}, nuclei {nuclei} (R, G, B)").format(
                red=_densities(stain.red_cell), nuclei=_densities(stain.nucleus)
            ),
        )
    else:
        yield _("stain"), _("not measured: colours stay as they are")
    if usual := profile.usual:
        yield (
            _("usual"),
            _("sharpness {sharpness}, background {light}, covered {covered}").format(
                sharpness=figure(f"{usual.sharpness:.2f}"),
                light=figure(f"{usual.light:.0%}"),
                covered=figure(f"{usual.coverage:.0%}"),
            ),
        )


def _levels(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.0f}" for value in values)


def _densities(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)
