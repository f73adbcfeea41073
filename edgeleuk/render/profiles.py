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
from edgeleuk.system.wording import command


def listing(found: Mapping[str, Profile | EdgeleukError], folder: Path) -> RenderableType:
    """Return a row per profile.

    A profile that cannot be read says so.
    """
    if not found:
        return Text(f"No profiles in {folder}. Make one with `{command('calibrate')} NAME`.")
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("profile", "objective", "picture", "um per px", "light", "stain", "made"):
        table.add_column(name)
    for name, profile in found.items():
        if isinstance(profile, EdgeleukError):
            table.add_row(name, Text(f"cannot be read; `{command('profiles show')}` says why", style="red"))
            continue
        scale = f"{profile.scale.um_per_px_x:.4g}" if profile.scale else "–"
        table.add_row(
            name, profile.magnification, f"{profile.picture.width} x {profile.picture.height}", scale,
            "yes" if profile.light else "–", "yes" if profile.stain else "–", profile.made[:10],
        )  # fmt: skip
    return table


def card(profile: Profile, path: Path) -> RenderableType:
    """Return all facts of one device profile."""
    table = Table(box=None, show_header=False, width=78)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _facts(profile):
        table.add_row(name, value)
    title = Text(f"profile {profile.name}, {profile.magnification}, made {profile.made}", style="bold")
    return Group(title, table, Text(str(path), style="dim"))


def _facts(profile: Profile) -> Iterable[tuple[str, str]]:
    yield (
        "picture",
        f"{profile.picture.width} x {profile.picture.height} px, or the same shape at other sizes",
    )
    if scale := profile.scale:
        cells = f", {scale.red_cells} of them" if scale.red_cells else ""
        axes = f"{scale.um_per_px_x:.5g} um per px"
        if abs(scale.um_per_px_x / scale.um_per_px_y - 1) > 1e-4:
            axes = f"{scale.um_per_px_x:.5g} um per px across, {scale.um_per_px_y:.5g} down"
        yield "scale", f"{axes}, to {scale.relative_error:.1%} (from the {scale.measured_on}{cells})"
    else:
        yield "scale", "not measured: each picture's red cells tell it"
    if profile.light:
        grid = profile.light.grid
        lost = 1 - grid.min(axis=(0, 1)).mean() / grid.max(axis=(0, 1)).mean()
        yield "light", f"measured on an empty field; its darkest part has {lost:.0%} less than its brightest"
    else:
        yield "light", "not measured: no shading is put right"
    if stain := profile.stain:
        yield "stain", f"from {stain.white_cells} white cells in {stain.fields} fields"
        yield "", f"background {_levels(stain.background)}"
        yield "", f"red cells {_densities(stain.red_cell)}, nuclei {_densities(stain.nucleus)} (R, G, B)"
    else:
        yield "stain", "not measured: colours stay as they are"
    if usual := profile.usual:
        yield (
            "usual",
            f"sharpness {usual.sharpness:.2f}, background {usual.light:.0%}, covered {usual.coverage:.0%}",
        )


def _levels(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.0f}" for value in values)


def _densities(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)
