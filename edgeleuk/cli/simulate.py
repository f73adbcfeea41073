"""`edgeleuk simulate`: smears with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeleuk.cli._console import tell, writable_folder, write
from edgeleuk.errors import UsageError

Pixels = Annotated[int, typer.Option(min=64, max=8000, help="Pixels.")]


def simulate(
    out: Annotated[Path, typer.Option("--out", help="Folder for the picture and its truth.")] = Path(
        "simulated"
    ),
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="Another smear; without it the sample that ships.", show_default=False),
    ] = None,
    um_per_px: Annotated[float, typer.Option("--um-per-px", help="Scale of the camera.")] = 0.1,
    width: Pixels = 1600,
    height: Pixels = 1200,
    squeeze: Annotated[float, typer.Option(help="Width over height of a round cell.")] = 1.0,
    defocus_um: Annotated[float, typer.Option("--defocus-um", help="Distance from the focal plane.")] = 0.0,
) -> None:
    """Render a smear with known truth: simulated.png and truth.json (kinds, types, boxes, sizes).

    For trying the program out and for testing it. Nothing was trained on simulated cells.
    """
    import json

    import cv2

    from edgeleuk.simulation.smear import Optics, Smear, Stage, demo, truth_document

    if not 0.02 <= um_per_px <= 1 or not 0.2 <= squeeze <= 5:
        raise UsageError(
            "--um-per-px takes 0.02 to 1 and --squeeze 0.2 to 5. A 100x objective gives about 0.1."
        )
    folder = writable_folder(out)
    if seed is None:
        smear = demo().smear
    else:
        size = (width * um_per_px / squeeze, height * um_per_px)
        try:
            smear = Smear.generate(seed, *size, COMPOSITION)
        except UsageError:
            raise UsageError(
                f"{width} x {height} pixels of {um_per_px:g} um have no room for the {sum(COMPOSITION.values())} white cells of a "
                "simulated field. Give larger values of --width, --height or --um-per-px; without --seed the sample is "
                "shown, of any size."
            ) from None
    stage = Stage(smear, um_per_px, (width, height), squeeze=squeeze, optics=Optics(defocus_um=defocus_um))
    frame = stage.field()
    encoded = cv2.imencode(".png", cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
    write(folder / "simulated.png", encoded)
    write(folder / "truth.json", json.dumps(truth_document(stage), indent=2) + "\n")
    tell(f"simulated.png and truth.json are in {folder}")


COMPOSITION = {"neutrophil": 6, "lymphocyte": 4, "monocyte": 1, "eosinophil": 1, "basophil": 1, "blast": 1}
"""White cells of a field, by type.

A healthy differential has fewer of the rare types, which would then not be visible.
"""
