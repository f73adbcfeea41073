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
from edgeleuk.render._words import clean, elapsed, read_text, short, spoken
from edgeleuk.render.tables import RESEARCH_USE
from edgeleuk.system.language import _, figure, msgid, ngettext, pgettext, word
from edgeleuk.system.sentences import english, guarded, said

WIDE, WIDEST = 100, 116
"""Minimum window widths for optional parts.

WIDE: for the whole notice. WIDEST: for what the camera lost.
"""
NOTICE = msgid("Research use only")

VERDICTS: Mapping[Verdict, tuple[str, str]] = {
    "counted": ("black on green", msgid("this field was counted: move on")),
    "seen": ("black on cyan", msgid("this place was counted before: move on")),
    "manual": ("black on cyan", msgid("this field can be counted: press c")),
    "move": ("black on yellow", msgid("the stage moves: hold still")),
    "focus": ("black on yellow", msgid("out of focus: turn the fine focus")),
    "dark": ("black on yellow", msgid("too dark: turn the lamp up, or open the diaphragm")),
    "bright": ("black on yellow", msgid("too bright: turn the lamp down, or close the diaphragm")),
    "empty": ("black on yellow", msgid("hardly anything here: move to where the cells are")),
    "thick": ("black on yellow", msgid("the cells lie over each other: move towards the thin end")),
    "stain": ("black on yellow", msgid("stained too pale or too dark: try another place, or stain again")),
    "unreadable": ("black on yellow", msgid("the picture cannot be analysed")),
    "foreign": ("black on yellow", msgid("this does not look like a blood smear: check stain and objective")),
    "scale": ("white on blue", msgid("measuring the size of red cells: show a few more fields")),
    "paused": ("white on magenta", msgid("counting is paused: p goes on")),
}
"""Style of each verdict, and what the operator should do."""
CAMERA: Mapping[CameraWord, tuple[str, str]] = {
    "starting": ("white on blue", msgid("waiting for the first picture")),
    "running": ("green", ""),
    "waiting": ("black on yellow", msgid("no picture has come for a while")),
    "frozen": ("white on red", msgid("the camera repeats the same picture")),
    "black": ("white on red", msgid("the camera gives black pictures: check the lamp and the light path")),
    "lost": ("white on red", msgid("the camera is gone and is being opened again")),
    "ended": ("black on cyan", msgid("the source has come to its end")),
}
"""Style of each camera state, and its default text.

The text is used if the state has none of its own.
"""
ASKED = "bold black on yellow"
"""Style of a question."""


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


def notice() -> str:
    """Return the notice in a few words.

    It is for places that have no room for more.
    """
    return guarded(NOTICE, _(NOTICE))


def header(state: LiveState, width: int) -> Text:
    """Return the line with objective, source, session and time."""
    clock = elapsed(state.seconds).rjust(10)
    named = _("session {id}").format(id=clean(state.session))
    session = named if state.session else _("not kept on disk")
    room = min(max(cell_len(session), 16), width // 3)
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
    style = CAMERA[state.camera.word][0]
    since = "" if state.camera.word == "running" else lapse(state.camera.since)
    lost = f"  {_('skipped')} {number(state.camera.dropped, 5)}  {_('reopened')} {number(state.camera.reopened, 3)}"
    if state.camera.unreadable:
        lost += f"  {_('damaged')} {number(state.camera.unreadable, 3)}"
    losses = lost if width >= WIDEST else ""
    rate, name = _("pictures/s"), f"{_('camera')} "
    each = (width - 24 - cell_len(name) - cell_len(rate) - cell_len(losses)) // 2
    # Measures of the last frame are out of date if no new one arrives.
    fresh = state.camera.word == "running"
    focus = "yellow" if state.verdict == "focus" else "green"
    light = "yellow" if state.verdict in ("dark", "bright") else "green"
    return line(
        width,
        (name, "dim"),
        (fit(word(state.camera.word), 9), style),
        (fit(since, 6), ""),
        *meter(_("focus"), state.meters.focus, each, focus if fresh else "dim"),
        ("  ", ""),
        *meter(_("light"), state.meters.light, each, light if fresh else "dim"),
        (f" {decimal(state.fps, 5)} {rate}", "" if fresh else "dim"),
        (losses, "yellow" if state.camera.reopened else "dim"),
    )


def status(state: LiveState, width: int) -> Text:
    """Return the one thing that the operator should know now.

    Trouble with the camera comes before a pause, and a pause before the verdict on the frame.
    """
    verdict: Verdict = "paused" if state.paused else state.verdict
    name, (style, text) = str(verdict), VERDICTS[verdict]
    text = _(text)
    if state.camera.word != "running":
        name, style = state.camera.word, CAMERA[state.camera.word][0]
        text = _trouble(state, width)[0]
    shown = word(name).upper()
    shown += " " * (9 - cell_len(shown))
    return line(width, (f" {shown}", f"bold {style}"), ("  ", ""), (fit(text, width - 12), "bold"))


def _trouble(state: LiveState, width: int) -> tuple[str, str]:
    """Split the camera's trouble into two texts.

    The first fits the status line; the second is the rest.
    """
    text = clean(said(state.camera.text) or _(CAMERA[state.camera.word][1]))
    first = (textwrap.wrap(text, width - 12) or [""])[0]
    return first, text[len(first) :].strip()


def damaged(pictures: int) -> str:
    """Return a sentence on the number of damaged pictures."""
    text = ngettext("{n} damaged picture was refused.", "{n} damaged pictures were refused.", pictures)
    return text.format(n=pictures)


def progress(state: LiveState, width: int) -> Text:
    """Return the line on progress.

    It has white cells, fields, connected parts and scale.
    """
    n, target = state.differential.n, state.target
    reached = n >= target
    scale = "?" if state.um_per_px is None else figure(f"{state.um_per_px:.4g}")
    fields, parts = number(state.fields, 5), number(state.island_count, 3)
    after = f"  {_('fields')} {fields}  {_('parts')} {parts}{scale:>8} um/px"
    before = _("white cells {n} of {target}  ").format(
        n=number(n, 6), target=f"{number(target, 5).strip():<5}"
    )
    room = width - cell_len(before) - cell_len(after)
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
        added = _(", ").join(f"+{count} {spoken(label)}" for label, count in state.last_added.items())
    else:
        added = _("no new white cell") if state.fields else _("none yet")
    name = fit(_("last field"), 12)
    return line(width, (name, "dim"), (fit(added, width - 12), "" if state.last_added else "dim"))


def last_cell(state: LiveState, width: int) -> Text:
    """Return the line on the last cell.

    The key for artefacts would mark this cell.
    """
    if (cell := state.last_cell) is None:
        return line(width, (f"{fit(_('last cell'), 12)}{_('none yet')}", "dim"))
    read = read_text(cell.label, cell.probability)
    place = _("field {field} cell {number}").format(field=cell.field, number=cell.number)
    named = clean(f"{cell.identity}: {read}{_(', ')}{place}")
    name, marks = fit(_("last cell"), 12), pgettext("key", "artefact")
    return line(width, (name, "dim"), (named, ""), ("  a ", "bold cyan"), (marks, "dim"))


def attributes(about: list[Text], rows: int, width: int) -> list[Text]:
    """Return the lines on attributes, as many as fit.

    Args:
        about: All lines on attributes.
        rows: Number of lines to return; blank ones fill the rest.
        width: Width of the window, terminal cells.
    """
    if not rows or not about:
        return [line(width)] * rows
    head = _("attributes, percent of the recognised white cells where the program was sure")
    if len(about) > rows - 1:
        head += _("; {n} more in a taller window").format(n=len(about) + 1 - rows)
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
        text = said(keyed.asking.line)
        text = text if cell_len(text) < width else said(keyed.asking.text)
        parts = textwrap.wrap(clean(text), width - 1)[:2]
        return [line(width, (f" {fit(part, width - 1)}", ASKED)) for part in parts]
    if keyed.typing is not None:
        return [_note(keyed.typing, keyed, width)]
    text = clean(said(state.message))
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
    name = f"{_('next slide') if keyed.is_slide else _('note')}: "
    again = _("Esc again drops the id") if keyed.is_slide else _("Esc again drops the note")
    warning = f"  {again}" if keyed.dropping else ""
    room = width - cell_len(name) - 1 - cell_len(warning)
    shown = clean(text)[-room:]
    while cell_len(shown) > room:
        shown = shown[1:]
    return line(width, (name, "bold cyan"), (shown, ""), ("_", "bold cyan"), (warning, "black on yellow"))


def _keys(keyed: Keyed, paused: bool) -> Sequence[tuple[str, str]]:
    """Return the keys active now."""
    if keyed.asking:
        return (("y", word(keyed.asking.yes)), (_("any other key"), word(keyed.asking.no)))
    if keyed.dropping:
        drops = _("drops it") if keyed.is_slide else _("drops the note")
        return (("Esc", drops), (_("any other key"), _("goes on writing it")))
    if keyed.typing is not None and keyed.is_slide:
        return ((_("Enter"), _("ends this count and begins that slide")), ("Esc", _("goes on with this one")))
    if keyed.typing is not None:
        return ((_("Enter"), _("keeps the note")), ("Esc", _("drops it")))
    return (
        # "go on" is as long as "pause": the keys keep their places.
        ("p", pgettext("key", "go on") if paused else pgettext("key", "pause")),
        ("c", pgettext("key", "count")),
        ("u", pgettext("key", "undo")),
        ("a", pgettext("key", "artefact")),
        ("n", pgettext("key", "note")),
        ("q", pgettext("key", "end")),
        ("?", pgettext("key", "help")),
    )


def footer(state: LiveState, keyed: Keyed, width: int) -> Text:
    """Return the line with the active keys and the notice.

    Args:
        state: State of the count.
        keyed: State of the operator's input.
        width: Width of the window, terminal cells.
    """
    text = guarded(RESEARCH_USE) if width >= WIDE else notice()
    pieces: list[Piece] = []
    for key, does in _keys(keyed, state.paused):
        pieces += [(f"{key} ", "bold cyan"), (f"{does}  ", "dim")]
    room = width - sum(cell_len(piece) for piece, style in pieces)
    if cell_len(text) > room:  # English comes first where nobody has checked the translation
        text = NOTICE if english(NOTICE) or cell_len(_(NOTICE)) > room else _(NOTICE)
    return line(width, *pieces, (fit(text, max(room, 0), right=True), "yellow"))
