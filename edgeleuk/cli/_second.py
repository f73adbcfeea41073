"""`edgeleuk sessions share`, `take` and `compare`: a second opinion."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from edgeleuk._text import escaped
from edgeleuk.cli._console import print_json, results, tell, write
from edgeleuk.cli._kept import reviewed, session_of, tell_lost
from edgeleuk.cli._model import ModelOption
from edgeleuk.cli._options import JsonOption, SlideArgument
from edgeleuk.cli._rules import ReferenceOption, RulesOption, standards
from edgeleuk.cli._who import StoreOption
from edgeleuk.errors import InputError, OutputError, UsageError
from edgeleuk.system import user_paths
from edgeleuk.system.language import _
from edgeleuk.system.sentences import said

if TYPE_CHECKING:
    from edgeleuk.review import Review
    from edgeleuk.statistics.kappa import Kappa


def share(
    session: SlideArgument,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write.", show_default="ID.edgeleuk-share.zip")
    ] = None,
    store: StoreOption = None,
) -> None:
    """Write one file of a session that another edgeleuk can take, review and send back.

    It has the fields, pictures of the cells and the review with its trail; no notes. It also carries a second opinion back.
    """
    from edgeleuk.programme import sharing
    from edgeleuk.sessions import open_store

    with open_store(store, create=False) as opened:
        found = session_of(opened, session)
        content = sharing.pack(opened.share(found))
    path = user_paths.expanded(out or Path(f"{found}{sharing.SUFFIX}"), "--out", OutputError)
    write(path, content, 0o600)
    tell(f"session {found} is in {path}")


def take(
    file: Annotated[Path, typer.Argument(help="File of `edgeleuk sessions share`.", show_default=False)],
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Take a session of another machine, for a second opinion; or a second opinion that comes back.

    The first review is not shown to the second reviewer. Review it as any session: `edgeleuk serve`. Then send it back with
    `edgeleuk sessions share ID`.
    """
    from edgeleuk.programme import sharing
    from edgeleuk.sessions import open_store

    content = sharing.read(user_paths.expanded(file, "the command line", InputError))
    with open_store(store) as opened:
        session, entries = opened.take(content)
        summary = session.summary
    if as_json:
        print_json(
            {"session": summary.id, "uuid": summary.uuid, "second_of": summary.second_of, "entries": entries}
        )
    elif content.facts["second_of"]:
        tell(f"the second opinion is session {summary.id}; {_new_entries(entries)} new.")
    else:
        tell(
            f"session {summary.id} is there to be reviewed: edgeleuk serve; then edgeleuk sessions share {summary.id}"
        )


def compare(
    session: SlideArgument,
    as_json: JsonOption = False,
    store: StoreOption = None,
    model_folder: ModelOption = None,
    rules: RulesOption = None,
    reference: ReferenceOption = None,
) -> None:
    """Show a session's review and the second opinions on it beside each other, with their agreement.

    Cohen's kappa has its 95 % interval (Fleiss, Cohen and Everitt 1969); it is of the cells that both looked at.
    """
    from edgeleuk.programme.sharing import agreement
    from edgeleuk.render._words import spoken
    from edgeleuk.sessions import open_store

    with open_store(store, create=False) as opened:
        about = opened.get(session_of(opened, session)).readable_summary([])
        known = opened.list([])
        first_of = about.second_of or about.uuid
        firsts = [each for each in known if each.uuid == first_of]
        seconds = [each for each in known if each.second_of == first_of]
        if not firsts or not seconds:
            raise UsageError(
                f"session {about.id} has no second opinion here. Send it with `edgeleuk sessions share {about.id}`, and take what"
                " comes back with `edgeleuk sessions take FILE`."
            )
        sets = standards(rules, reference)
        _kept, first, lost = reviewed(opened, firsts[0].id, model_folder, *sets)
        others = []
        for each in seconds:
            _kept, second, own = reviewed(opened, each.id, model_folder, *sets)
            lost = (*lost, *own)
            others.append((each.id, second))
    found = [(id, second, agreement(first, second)) for id, second in others]
    if as_json:
        print_json({
            "first": _review_json(firsts[0].id, first),
            "second": [
                _review_json(id, second) | {
                    "both_looked_at": asdict(agreed.both),
                    "all_cells": asdict(agreed.all_cells),
                    "different": [{"cell": cell, "first": one, "second": other} for cell, one, other in agreed.different],
                }
                for id, second, agreed in found
            ],
        })  # fmt: skip
    else:
        _print(_line(_("first "), firsts[0].id, first))
        for id, second, agreed in found:
            _print(_line(_("second"), id, second))
            if not first.reviewed and not second.reviewed:
                _print("nobody has reviewed yet", 2)
                continue
            _print(_agreed("cells that both looked at", agreed.both), 2)
            same = agreed.all_cells
            _print(f"all cells: {same.agreed} of {same.n} with the same label", 2)
            for cell, one, other in agreed.different:
                _print(f"cell {cell}: {spoken(one)}, {spoken(other)}", 2)
    tell_lost(lost)


def _new_entries(count: int) -> str:
    return "1 entry of its review is" if count == 1 else f"{count} entries of its review are"


def _print(line: str, indent: int = 0) -> None:
    """Print a line, broken where it is wider than 80 columns."""
    text = fill(
        escaped(said(line)),
        80,
        initial_indent=" " * indent,
        subsequent_indent="    ",
        break_on_hyphens=False,
    )
    results().print(text, soft_wrap=True, markup=False)


def _review_json(id: str, review: Review) -> dict[str, object]:
    return {
        "session": id,
        "verdict": review.result.verdict.code,
        "state": review.state,
        "signed": review.signed,
        "looked_at": review.reviewed,
        "reviewers": sorted({entry.who for entry in review.trail}),
    }


def _line(name: str, id: str, review: Review) -> str:
    from edgeleuk.render._words import verdict_line

    who = ", ".join(sorted({entry.who for entry in review.trail})) or "nobody yet"
    looked = f"{id}  by {who}: {review.reviewed} of {len(review.cells)} cells looked at."
    return f"{name}  {said(looked)} {verdict_line(review.result.verdict)}"


def _agreed(what: str, found: Kappa) -> str:
    if not found.n:
        return f"{what}: none, so no kappa"
    text = f"{what}: {found.agreed} of {found.n} with the same label"
    if found.kappa is None:
        return f"{text}; no kappa, since there is one label alone"
    return f"{text}, Cohen's kappa {found.kappa:.2f} (95 % {found.low:.2f} to {found.high:.2f})"
