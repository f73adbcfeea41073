"""Parts of the live screen around its table.

Most have a fixed number of lines.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from edgeleuk.console.text import SOLID, TRACK, Piece, decimal, fit, lapse, line, meter, number
from edgeleuk.counting.requests import Question
from edgeleuk.counting.state import CameraWord, LiveState, Verdict
from edgeleuk.render._words import clean, elapsed, short
from edgeleuk.render.tables import RESEARCH_USE
from edgeleuk.types import spoken

WIDE, WIDEST = 100, 116
"""Minimum window widths for optional parts.

WIDE: for the whole notice. WIDEST: for what the camera lost.
"""
NOTICE = RESEARCH_USE.split(".")[0]

VERDICTS: Mapping[Verdict, tuple[str, str]] = {
    "counted": ("black on green", "this field was counted: move on"),
    "seen": ("black on cyan", "this place was counted before: move on"),
    "manual": ("black on cyan", "this field can be counted: press c"),
    "move": ("black on yellow", "the stage moves: hold still"),
    "focus": ("black on yellow", "out of focus: turn the fine focus"),
    "dark": ("black on yellow", "too dark: turn the lamp up, or open the diaphragm"),
    "bright": ("black on yellow", "too bright: turn the lamp down, or close the diaphragm"),
    "empty": ("black on yellow", "hardly anything here: move to where the cells are"),
    "thick": ("black on yellow", "the cells lie over each other: move towards the thin end"),
    "stain": ("black on yellow", "stained too pale or too dark: try another place, or stain again"),
    "unreadable": ("black on yellow", "the picture cannot be analysed"),
    "foreign": ("black on yellow", "this does not look like a blood smear: check stain and objective"),
    "scale": ("white on blue", "measuring the size of red cells: show a few more fields"),
    "paused": ("white on magenta", "counting is paused: p goes on"),
}
"""Style of each verdict, and what the operator should do."""
CAMERA: Mapping[CameraWord, tuple[str, str]] = {
    "starting": ("white on blue", "waiting for the first picture"),
    "running": ("green", ""),
    "waiting": ("black on yellow", "no picture has come for a while"),
    "frozen": ("white on red", "the camera repeats the same picture"),
    "black": ("white on red", "the camera gives black pictures: check the lamp and the light path"),
    "lost": ("white on red", "the camera is gone and is being opened again"),
    "ended": ("black on cyan", "the source has come to its end"),
}
"""Style of each camera state, and its default text.

The text is used if the state has none of its own.
"""
ASKED = "bold black on yellow"
"""Style of a question."""
KEYS = (
    ("p", "pause"),
    ("c", "count"),
    ("u", "undo"),
    ("a", "artefact"),
    ("n", "note"),
    ("q", "end"),
    ("?", "help"),
)


@dataclass(frozen=True, slots=True)
class Keyed:
    """State of the operator's input."""

    asking: Question | None = None
    """Question that awaits an answer."""
    typing: str | None = None
    """Note or slide id being typed."""
    dropping: bool = False
    """Whether the next Escape drops the note."""
    is_slide: bool = False
    """Whether what is typed is the id of the next slide."""


IDLE = Keyed()
"""State with nothing typed or asked."""


def header(state: LiveState, width: int) -> Text:
    """Return the line with objective, source, session and time."""
    clock = elapsed(state.seconds).rjust(10)
    session = f"session {clean(state.session)}" if state.session else "not kept on disk"
    room = min(max(len(session), 16), width // 3)
    source = width - 14 - 6 - room - len(clock) - 2
    name = state.source if "://" in state.source else short(state.source, source - 1)
    return line(
        width,
        ("edgeleuk live ", "bold"),
        (fit(state.magnification, 6), "bold cyan"),
        (fit(name, source) + "  ", ""),
        (fit(session, room), "dim"),
        (clock, "bold"),
    )


def camera(state: LiveState, width: int) -> Text:
    """Return the line on the camera.

    It has state, focus, light and frame rate.
    """
    style, _ = CAMERA[state.camera.word]
    since = "" if state.camera.word == "running" else lapse(state.camera.since)
    lost = f"  skipped {number(state.camera.dropped, 5)}  reopened {number(state.camera.reopened, 3)}"
    if state.camera.unreadable:
        lost += f"  damaged {number(state.camera.unreadable, 3)}"
    losses = lost if width >= WIDEST else ""
    each = (width - 41 - len(losses)) // 2
    # Measures of the last frame are out of date if no new one arrives.
    fresh = state.camera.word == "running"
    focus = "yellow" if state.verdict == "focus" else "green"
    light = "yellow" if state.verdict in ("dark", "bright") else "green"
    return line(
        width,
        ("camera ", "dim"),
        (fit(state.camera.word, 9), style),
        (fit(since, 6), ""),
        *meter("focus", state.meters.focus, each, focus if fresh else "dim"),
        ("  ", ""),
        *meter("light", state.meters.light, each, light if fresh else "dim"),
        (f" {decimal(state.fps, 5)} pictures/s", "" if fresh else "dim"),
        (losses, "yellow" if state.camera.reopened else "dim"),
    )


def status(state: LiveState, width: int) -> Text:
    """Return the one thing that the operator should know now.

    Trouble with the camera comes before a pause, and a pause before the verdict on the frame.
    """
    verdict: Verdict = "paused" if state.paused else state.verdict
    word, (style, text) = str(verdict), VERDICTS[verdict]
    if state.camera.word != "running":
        word, style = state.camera.word, CAMERA[state.camera.word][0]
        text = _trouble(state, width)[0]
    return line(width, (f" {word.upper():<9}", f"bold {style}"), ("  ", ""), (fit(text, width - 12), "bold"))


def _trouble(state: LiveState, width: int) -> tuple[str, str]:
    """Split the camera's trouble into two texts.

    The first fits the status line; the second is the rest.
    """
    text = clean(state.camera.text or CAMERA[state.camera.word][1])
    first = (textwrap.wrap(text, width - 12) or [""])[0]
    return first, text[len(first) :].strip()


def damaged(pictures: int) -> str:
    """Return a sentence on the number of damaged pictures."""
    return "1 damaged picture was refused." if pictures == 1 else f"{pictures} damaged pictures were refused."


def progress(state: LiveState, width: int) -> Text:
    """Return the line on progress.

    It has white cells, fields, connected parts and scale.
    """
    n, target = state.differential.n, state.target
    reached = n >= target
    scale = "?" if state.um_per_px is None else f"{state.um_per_px:.4g}"
    after = f"  fields {number(state.fields, 5)}  parts {number(state.island_count, 3)}{scale:>8} um/px"
    before = f"white cells {number(n, 6)} of {number(target, 5).strip():<5}  "
    room = width - len(before) - len(after)
    filled = min(room * n // target, room)
    return line(
        width,
        (before, "bold green" if reached else "bold"),
        (SOLID * filled, "green" if reached else "cyan"),
        (TRACK * (room - filled), "dim"),
        (after, ""),
    )


def last_added(state: LiveState, width: int) -> Text:
    """Return the line on the last field.

    It tells which white cells the field added.
    """
    if state.last_added:
        added = ", ".join(f"+{count} {spoken(label)}" for label, count in state.last_added.items())
    else:
        added = "no new white cell" if state.fields else "none yet"
    return line(width, ("last field  ", "dim"), (fit(added, width - 12), "" if state.last_added else "dim"))


def last_cell(state: LiveState, width: int) -> Text:
    """Return the line on the last cell.

    The key for artefacts would mark this cell.
    """
    if (cell := state.last_cell) is None:
        return line(width, ("last cell   none yet", "dim"))
    named = clean(f"{cell.identity}: {cell.read}, field {cell.field} cell {cell.number}")
    return line(width, ("last cell   ", "dim"), (named, ""), ("  a ", "bold cyan"), ("artefact", "dim"))


def attributes(about: list[Text], rows: int, width: int) -> list[Text]:
    """Return the lines on attributes, as many as fit.

    Args:
        about: All lines on attributes.
        rows: Number of lines to return; blank ones fill the rest.
        width: Width of the window, terminal cells.
    """
    if not rows or not about:
        return [line(width)] * rows
    head = "attributes, percent of the recognised white cells where the program was sure"
    if len(about) > rows - 1:
        head += f"; {len(about) + 1 - rows} more in a taller window"
    body = [line(width, (fit(head, width), "dim")), *about][:rows]
    return body + [line(width)] * (rows - len(body))


def told(state: LiveState, keyed: Keyed, width: int) -> list[Text]:
    """Return one or two lines for messages.

    They show the first of these that exists: a question, the note being typed, the message, the rest of the
    camera's trouble, the number of damaged pictures.

    Args:
        state: State of the count.
        keyed: State of the operator's input.
        width: Width of the window, terminal cells.
    """
    if keyed.asking:
        # The last line of the screen has the answers too, so a long question may stand alone here.
        text = keyed.asking.line if len(keyed.asking.line) < width else keyed.asking.text
        parts = textwrap.wrap(clean(text), width - 1)[:2]
        return [line(width, (f" {fit(part, width - 1)}", ASKED)) for part in parts]
    if keyed.typing is not None:
        return [_note(keyed.typing, keyed, width)]
    text = clean(state.message)
    if not text and state.camera.word != "running":
        text = _trouble(state, width)[1]
    if not text and state.camera.unreadable:
        text = damaged(state.camera.unreadable)
    parts = textwrap.wrap(text, width, max_lines=2, placeholder=" ...") or [""]
    return [line(width, (fit(part, width), "bold")) for part in parts]


def _note(text: str, keyed: Keyed, width: int) -> Text:
    """Return the end of the note or slide id being typed.

    As much as has room. After the first Esc it warns that another one drops the note.
    """
    what = "next slide" if keyed.is_slide else "note"
    warning = (f"  Esc again drops the {'id' if keyed.is_slide else 'note'}") if keyed.dropping else ""
    room = width - len(f"{what}: _") - len(warning)
    shown = clean(text)[-room:]
    while cell_len(shown) > room:
        shown = shown[1:]
    return line(
        width, (f"{what}: ", "bold cyan"), (shown, ""), ("_", "bold cyan"), (warning, "black on yellow")
    )


def _keys(keyed: Keyed) -> Sequence[tuple[str, str]]:
    """Return the keys active now."""
    if keyed.asking:
        return (("y", keyed.asking.yes), ("any other key", keyed.asking.no))
    if keyed.dropping:
        return (
            ("Esc", "drops it" if keyed.is_slide else "drops the note"),
            ("any other key", "goes on writing it"),
        )
    if keyed.typing is None:
        return KEYS
    if keyed.is_slide:
        return (("Enter", "ends this count and begins that slide"), ("Esc", "goes on with this one"))
    return (("Enter", "keeps the note"), ("Esc", "drops it"))


def footer(state: LiveState, keyed: Keyed, width: int) -> Text:
    """Return the line with the active keys and the notice.

    Args:
        state: State of the count.
        keyed: State of the operator's input.
        width: Width of the window, terminal cells.
    """
    notice = RESEARCH_USE if width >= WIDE else NOTICE
    keys = _keys(keyed)
    pieces: list[Piece] = []
    for key, does in keys:
        # "go on" is as long as "pause": the keys keep their places.
        does = "go on" if does == "pause" and state.paused else does
        pieces += [(f"{key} ", "bold cyan"), (f"{does}  ", "dim")]
    room = width - sum(len(text) for text, _ in pieces)
    return line(width, *pieces, (notice.rjust(room), "yellow"))
