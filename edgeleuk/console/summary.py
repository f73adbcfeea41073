"""Summary of a live count.

It has the verdict, counts with percentages, and every flag in full. It is made for a window of 80 x 24
without scrolling, such as the console of a Raspberry Pi.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.text import Text

from edgeleuk.console.findings import reasons, verdict_lines
from edgeleuk.console.parts import damaged, notice
from edgeleuk.console.table import paired
from edgeleuk.console.text import wrapped
from edgeleuk.differential.differential import Differential
from edgeleuk.differential.verdict import Verdict
from edgeleuk.render._words import spoken, unchecked_notice
from edgeleuk.render.terminal import highest, outside_counts, untyped
from edgeleuk.system.language import _, figure, ngettext
from edgeleuk.system.sentences import guarded, said

BELOW = 2
"""Lines printed below the summary.

They say where the session is stored, and have the shell's prompt.
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """Finished live count."""

    verdict: Verdict
    result: Differential
    magnification: str
    fields: int
    target: int
    reason: str
    """Why the count ended, in a few words."""
    unreadable: int = 0
    """Number of damaged pictures, which were refused."""

    def summary(self, width: int, height: int) -> list[Text]:
        """Return the summary as lines, the verdict first.

        What the count can exclude appears only if a window of `height` lines has room for it.
        """
        needed = [
            *verdict_lines(self.verdict, width),
            *_wrapped(self._head(), width),
            *self._types(width),
            *_wrapped(" ".join(self._others()), width),
            *_wrapped(
                " ".join((*(text.plain for text in outside_counts(self.result)), f"{notice()}.")), width
            ),
            *(text for each in reasons(self.verdict, self.result) for text in each.lines(width)),
        ]
        left = height - BELOW - len(verdict_lines(self.verdict, width)) - len(needed)
        further = filter(None, (*map(guarded, self.result.adequacy), unchecked_notice()))
        more = [text for sentence in further for text in _wrapped(sentence, width)]
        return needed + (more if len(more) <= left else [])

    def _head(self) -> str:
        text = ngettext(
            "{n} of {target} white cells in {fields} field at {objective}: {reason}.",
            "{n} of {target} white cells in {fields} fields at {objective}: {reason}.",
            self.fields,
        ).format(
            n=self.result.n,
            target=self.target,
            fields=self.fields,
            objective=self.magnification,
            reason=said(self.reason),
        )
        return f"{text} {damaged(self.unreadable)}" if self.unreadable else text

    def _types(self, width: int) -> Iterator[Text]:
        """Yield the cell types that were seen, two per line."""
        seen = [label for label, share in self.result.types.items() if share.count]
        return paired(self.result, seen, width) if seen else iter(())

    def _others(self) -> Iterator[str]:
        """Yield sentences on cells not recognised and types not seen."""
        if self.result.not_recognised:
            text = _("Not recognised: {n} of {of} white cells.")
            yield text.format(n=self.result.not_recognised, of=self.result.white_cells)
        if known := untyped(self.result):
            text = _("Of these: {list}.")
            yield text.format(list=_(", ").join(f"{name} {count}" for name, count in known))
        unseen = [label for label, share in self.result.types.items() if not share.count]
        if high := highest(self.result, unseen):
            unknown = [spoken(label) for label in unseen if label not in self.result.bounds]
            text = _("Types not seen: up to {high} % of each.")
            if unknown:
                text = _("Types not seen: up to {high} % of each; of {list} it is not known.")
            yield text.format(high=figure(high), list=_(" and ").join(unknown))


def _wrapped(text: str, width: int) -> list[Text]:
    return [Text(part) for part in wrapped(text, width)]
