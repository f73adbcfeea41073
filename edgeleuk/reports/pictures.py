"""Pictures of the cells that a report shows.

They come from a session, which keeps one of each white cell, or from the slide's pictures where these are
still there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import cv2

from edgeleuk.errors import EdgeleukError
from edgeleuk.imaging.resampling import crop_um
from edgeleuk.reports.report import IMAGE_UM
from edgeleuk.results.slide_result import SlideResult
from edgeleuk.sources.pictures.listing import pictures
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.types import CountedField, Field, Frame, PictureFile, Place, Scale

IMAGE_PX = 160
"""Maximum side of a cell's picture, pixels."""
QUALITY = 90
OUTSIDE = 128
"""Grey level of what lies outside the field."""

Images = dict[tuple[str, int], bytes]
"""JPEG of cells by the name of their picture and their number in it."""


def from_session(counted: Iterable[CountedField], places: Iterable[Place]) -> Images:
    """Take the pictures that a session keeps.

    `counted`: the fields of the session with their pictures, one at a time.
    """
    spots = {(place.picture, place.number) for place in places}
    names = {name for name, _ in spots}
    found: Images = {}
    for each in counted:
        if each.field.name in names:
            for index, crop in each.crops.items():
                spot = (each.field.name, each.field.cells[index].number)
                if spot in spots:
                    found.setdefault(spot, crop)
    return found


def from_files(result: SlideResult, places: Iterable[Place]) -> Images:
    """Cut the cells out of the slide's pictures.

    A picture that is gone, unreadable or of another size than it was gives none: it is another picture now.
    """
    fields = {each.field.name: each.field for each in result.counted}
    wanted: defaultdict[str, list[Place]] = defaultdict(list)
    for place in places:
        if place.picture in fields:
            wanted[place.picture].append(place)
    found: Images = {}
    for name, some in wanted.items():
        if (frame := _frame(name, fields[name])) is not None:
            found |= {(name, place.number): _cut(frame, fields[name].scale, place) for place in some}
    return found


def _frame(name: str, field: Field) -> Frame | None:
    """Return the picture of a field.

    None if it is not there, or is another one.
    """
    try:
        frame = read_picture(_file(name))
    except EdgeleukError:
        return None
    size = (frame.width * frame.shrunk, frame.height * frame.shrunk)
    # A decoder that makes a picture smaller rounds its sides up.
    near = all(0 <= a - b < frame.shrunk for a, b in zip(size, (field.width, field.height), strict=True))
    return frame if near or size == (field.width, field.height) else None


def _file(name: str) -> PictureFile:
    """Return the file that a picture's name stands for.

    The name may also stand for a page of a file.
    """
    path, _, page = name.rpartition(" page ")
    if not path or not page.isdecimal() or Path(name).exists():
        return PictureFile(Path(name))
    return next(
        (
            each
            for each in pictures([path], recursive=False)
            if isinstance(each, PictureFile) and str(each) == name
        ),
        PictureFile(Path(name)),
    )


def _cut(frame: Frame, scale: Scale, place: Place) -> bytes:
    x1, y1, x2, y2 = place.box
    middle = ((x1 + x2) / 2 / frame.shrunk, (y1 + y2) / 2 / frame.shrunk)
    own = scale.shrunk(frame.shrunk)
    um_per_px = max(own.um_per_px, IMAGE_UM / IMAGE_PX)
    crop = crop_um(frame.pixels, own, middle, um_per_px, round(IMAGE_UM / um_per_px), OUTSIDE)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return encoded[1].tobytes()
