"""Session recording for `edgeleuk analyze`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from edgeleuk.cli._console import tell, warn
from edgeleuk.cli._who import SessionFacts
from edgeleuk.errors import EdgeleukError
from edgeleuk.system.addresses import shown_mistake

if TYPE_CHECKING:
    from edgeleuk.analysis.analyser import Analyser
    from edgeleuk.results.slide_result import Provenance
    from edgeleuk.sessions import NewSession, Session, Store
    from edgeleuk.types import CountedField, Refusal


class Keeper:
    """Session recorder that tolerates a failing store.

    Where nothing can be written it warns once, and the count goes on. As a context manager it closes the session: a count
    left by an error, or by Ctrl-C, is in the store as one that was interrupted.
    """

    def __init__(self, new: NewSession, path: Path | None = None, *, wanted: bool = True) -> None:
        """Open the store and start the session, if `wanted`.

        Args:
            new: Session to start.
            path: Session file; None for the user's own.
            wanted: Keep the session at all.
        """
        from edgeleuk.sessions import open_store

        self._new, self._wanted = new, wanted
        self._store: Store | None = None
        self._session: Session | None = None
        self._kept = ""
        """Session id, while everything was kept."""
        self._ended: str | None = None
        if wanted:
            with self._tolerant():
                self._store = open_store(path)
                self._session = self._store.start(new)
                self._kept = self._session.id

    @property
    def failed(self) -> bool:
        """Whether keeping was wanted and failed."""
        return self._wanted and not self._kept

    @property
    def keeping(self) -> bool:
        """Whether a field counted now would be kept."""
        return self._session is not None

    @property
    def session(self) -> str:
        """Id of the session; empty if it is not kept."""
        return self._kept

    @property
    def about(self) -> Provenance:
        """Provenance of the count, whether it is kept or not."""
        from edgeleuk.results.slide_result import Provenance

        new = self._new
        return Provenance(
            new.uuid, new.program, new.model, new.started, self._ended, new.source, new.slide, new.operator, new.site,
            new.device, new.profile,
        )  # fmt: skip

    def add(self, counted: CountedField) -> None:
        self._try(lambda session: session.add(counted))

    def refuse(self, *refusals: Refusal) -> None:
        self._try(lambda session: session.refuse(*refusals))

    def undo(self) -> None:
        self._try(lambda session: session.undo())

    def mark(self, identity: int, label: str) -> None:
        self._try(lambda session: session.mark(identity, label))

    def note(self, text: str) -> None:
        self._try(lambda session: session.note(text))

    def finish(self, reason: str) -> None:
        """End the count."""
        from edgeleuk.sessions import local_now

        self._ended = local_now()
        self._try(lambda session: session.finish(reason, self._ended))

    def tell(self) -> None:
        """Print where the count was kept.

        A count that did not come to its end is kept as an interrupted one.
        """
        if self._kept:
            tell(f"kept as session {self._kept}: `edgeleuk sessions show {self._kept}`")

    def _try(self, action: Callable[[Session], None]) -> None:
        if self._session:
            with self._tolerant():
                action(self._session)

    @contextmanager
    def _tolerant(self) -> Iterator[None]:
        try:
            yield
        except EdgeleukError as error:
            self._kept = ""
            warn(f"the result is not kept: {error} --no-keep counts without keeping.")
            self._close()

    def _close(self) -> None:
        self._session = None
        if self._store:
            with suppress(EdgeleukError):
                self._store.close()
            self._store = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()


def pictures_session(
    analyser: Analyser, paths: list[str], who: SessionFacts, um_per_px: float | None, red_cells: float | None
) -> NewSession:
    """Return the new session of a count of images.

    Args:
        analyser: Analyser with its model and profile.
        paths: Images or folders, as named by the user; at least one.
        who: Slide, operator, site, device and notes.
        um_per_px: Given scale, micrometres per pixel, or None.
        red_cells: Red-cell count of the blood, 10^12 per litre, or None.
    """
    from edgeleuk.results.slide_result import identify
    from edgeleuk.sessions import NewSession

    others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    named = paths[0] if os.path.lexists(paths[0]) else shown_mistake(paths[0])
    return NewSession(
        source=f"{named}{others}",
        model=identify(analyser.model),
        kind="pictures",
        um_per_px=um_per_px,
        slide=who.slide,
        operator=who.operator,
        site=who.site,
        device=who.device,
        profile=analyser.profile.name if analyser.profile else None,
        red_cells=red_cells,
        notes=who.notes,
    )
