"""Help on keys and words of the live screen.

It is shown over the middle of the screen on request.
"""

from __future__ import annotations

from rich.text import Text

from edgeleuk.console.text import fit, line
from edgeleuk.system.language import _, msgid
from edgeleuk.system.wording import option

KEYS = (
    (msgid("p, space"), msgid("pause, and go on")),
    (msgid("c, Enter"), msgid("count this field now (for counts begun with {manual})")),
    ("u", msgid("take back the last counted field")),
    ("a", msgid('mark the white cell of the line "last cell" as an artefact')),
    ("n", msgid("type a note: Enter keeps it, Esc drops it")),
    ("s", msgid("next slide: type or scan its id; Enter ends this count")),
    (msgid("q, Esc"), msgid("end the count; it asks first. Ctrl-C ends at once. All is kept")),
    ("?", msgid("close this help")),
)
WORDS = (
    ("%", msgid("share of the recognised white cells")),
    (msgid("between"), msgid("where the share of all white cells lies, with 95 % certainty")),
    (msgid("not recognised"), msgid("white cells of which the program is not sure what they are")),
    (msgid("not typed"), msgid("white cells that the edge of the picture cuts")),
    (msgid("no white cell"), msgid("a platelet, red cell or stain, taken for one at first")),
    (msgid("parts"), msgid("of the slide, not joined by overlap: a cell may count in each")),
    (msgid("focus"), msgid("sharpness, against the sharpest picture of this count")),
    ("um/px", msgid("micrometres of the slide in a pixel; red cells tell it")),
    ("├───┤ ░", msgid("between, and the reference range")),
)
NAME = 16
"""Width of the column of keys and words, characters."""


def help_lines(width: int, rows: int) -> list[Text]:
    """Return the help in exactly `rows` lines.

    The last lines of the help are dropped if there is no room for them.
    """
    text = [line(width, (_("Keys"), "bold"))]
    text += [_explained(_(key), _(does).format(manual=option("manual")), width) for key, does in KEYS]
    text += [line(width, (_("On the screen"), "bold"))]
    text += [_explained(_(word), _(means), width) for word, means in WORDS]
    return text[:rows] + [line(width)] * (rows - len(text))


def _explained(word: str, means: str, width: int) -> Text:
    return line(width, (f"  {fit(word, NAME)}", "bold cyan"), (means, ""))
