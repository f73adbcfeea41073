"""What the keys and the words of the live screen mean, shown over its middle on request."""

from __future__ import annotations

from rich.text import Text

from edgeleuk.render.live_text import line

_KEYS = (
    ("p, space", "pause, and go on"),
    ("c, Enter", "count this field now (with --manual)"),
    ("u", "take back the last counted field"),
    ("a", 'mark the cell that is named at "last cell" as an artefact; it asks first'),
    ("n", "type a note: Enter keeps it, Esc drops it"),
    ("q, Esc", "end the count; it asks first, and what was counted is kept"),
    ("Ctrl-C", "end the count at once"),
    ("?", "close this help"),
)
_WORDS = (
    ("%", "of the recognised white cells; the others are not among them"),
    ("├───┤", "95 % interval of the share, for the number of cells alone"),
    ("░", "reference range"),
    ("*", "too few were measured to know how many of the type the reader misses"),
    ("platelet", "one so large that it was taken for a white cell at first"),
    ("islands", "parts of the slide that no overlap joins: a cell may count in each"),
    ("focus", "sharpness against the best seen in this session"),
    ("ms", "from a frame to its result; 95 of 100 frames are faster"),
)


def help_lines(width: int, rows: int) -> list[Text]:
    """`rows` lines; the last ones are left out where there are too few."""
    text = [line(width), line(width, ("Keys", "bold"))]
    text += [line(width, (f"  {key:<10}", "bold cyan"), (does, "")) for key, does in _KEYS]
    text += [line(width), line(width, ("On the screen", "bold"))]
    text += [line(width, (f"  {word:<10}", "bold cyan"), (means, "")) for word, means in _WORDS]
    return text[:rows] + [line(width)] * (rows - len(text))
