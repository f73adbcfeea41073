"""Help on keys and words of the live screen.

It is shown over the middle of the screen on request.
"""

from __future__ import annotations

from rich.text import Text

from edgeleuk.console.text import line
from edgeleuk.system.wording import option

KEYS = (
    ("p, space", "pause, and go on"),
    ("c, Enter", "count this field now (for counts begun with {manual})"),
    ("u", "take back the last counted field"),
    ("a", 'mark the white cell of the line "last cell" as an artefact'),
    ("n, s", "type a note, or the next slide: Enter takes it, Esc not"),
    ("q, Esc", "end the count; it asks first. Ctrl-C ends at once. All is kept"),
    ("?", "close this help"),
)
WORDS = (
    ("%", "share of the recognised white cells"),
    ("between", "where the share of all white cells lies, with 95 % certainty"),
    ("not recognised", "white cells of which the program is not sure what they are"),
    ("not typed", "white cells that the edge of the picture cuts"),
    ("no white cell", "a platelet, red cell or stain, taken for one at first"),
    ("parts", "of the slide, not joined by overlap: a cell may count in each"),
    ("focus", "sharpness, against the sharpest picture of this count"),
    ("um/px", "micrometres of the slide in a pixel; red cells tell it"),
    ("├───┤ ░", "between, and the reference range"),
)
NAME = 16
"""Width of the column of keys and words, characters."""


def help_lines(width: int, rows: int) -> list[Text]:
    """Return the help in exactly `rows` lines.

    The last lines of the help are dropped if there is no room for them.
    """
    text = [line(width, ("Keys", "bold"))]
    text += [_explained(key, does.format(manual=option("manual")), width) for key, does in KEYS]
    text += [line(width, ("On the screen", "bold"))]
    text += [_explained(word, means, width) for word, means in WORDS]
    return text[:rows] + [line(width)] * (rows - len(text))


def _explained(word: str, means: str, width: int) -> Text:
    return line(width, (f"  {word:<{NAME}}", "bold cyan"), (means, ""))
