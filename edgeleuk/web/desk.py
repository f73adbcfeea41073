"""The one thread that reads and writes sessions for the server."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from edgeleuk._text import tamed
from edgeleuk.counting.kept import Kept, restored
from edgeleuk.differential.rules import Reference, Rules
from edgeleuk.errors import StoreError, UsageError
from edgeleuk.models.registry import Model
from edgeleuk.quality_control import log
from edgeleuk.render.control_warnings import controlled
from edgeleuk.render.review import shortly
from edgeleuk.results.slide_result import identify
from edgeleuk.review import OpenReview, Review
from edgeleuk.sessions import NewSession, Session, SessionSummary, Store, default_path, open_store
from edgeleuk.system import file_io
from edgeleuk.system.language import current
from edgeleuk.system.sentences import guarded, said
from edgeleuk.types import CountedField
from edgeleuk.web.analysis import Outcome

T = TypeVar("T")
OPEN_SLIDES = 3
"""Number of slides that are kept open: their maps take memory."""
OPEN_STANDINGS = 500
"""Number of slides whose verdict is kept at hand for their list."""
OPEN_FIELDS = 24
"""Number of fields whose crops are kept at hand."""
LONGEST_LABEL = 60


@dataclass(frozen=True, slots=True)
class Slide:
    """Slide that is open for review."""

    kept: Kept
    opened: OpenReview


@dataclass(frozen=True, slots=True)
class NewSlide:
    """Slide whose first picture is being taken."""

    slide: str
    magnification: str
    um_per_px: float | None = None
    operator: str = ""
    site: str = ""
    device: str = ""
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a picture will be counted."""

    session: str
    """Session to extend; empty for a new one."""
    new: NewSlide
    number: int
    """Number of fields so far."""
    label: str
    """Name of the picture, not used on the slide yet."""
    remark: str = ""
    """Why a new session is begun for a slide that has one."""


class Desk:
    """Sessions and reviews, behind one thread.

    `run` may be called from any task, all other methods from that thread.
    """

    def __init__(
        self, path: Path | None, rules: Rules, reference: Reference, load: Callable[[str], Model]
    ) -> None:
        """Prepare; the file is opened with the first request.

        Args:
            path: File of sessions; None for the user's own.
            rules: Rules of the differential.
            reference: Reference ranges.
            load: Returns the model for an objective.
        """
        self.path = path or default_path()
        self.rules, self.reference, self._load = rules, reference, load
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="desk")
        self._store: Store | None = None
        self._slides: OrderedDict[tuple[object, ...], Slide] = OrderedDict()
        self._fields: OrderedDict[tuple[str, int], CountedField] = OrderedDict()
        self._standings: OrderedDict[tuple[object, ...], dict[str, str]] = OrderedDict()

    async def run(self, work: Callable[[], T]) -> T:
        """Do something in the desk's thread."""
        context = copy_context()  # with the language of the request
        return await asyncio.get_running_loop().run_in_executor(self._pool, context.run, work)

    def wait(self, work: Callable[[], T]) -> T:
        """Do something in the desk's thread, from another thread."""
        return self._pool.submit(work).result()

    def close(self) -> None:
        """Close the file and end the thread."""

        def closed() -> None:
            if self._store:
                self._store.close()

        with suppress(RuntimeError, StoreError):
            self._pool.submit(closed).result(timeout=10)
        self._pool.shutdown(wait=False, cancel_futures=True)

    # In the desk's thread

    @property
    def store(self) -> Store:
        """The open file of sessions."""
        if self._store is None:
            self._store = open_store(self.path)
        return self._store

    @property
    def exists(self) -> bool:
        """Whether there is a file of sessions yet."""
        return self._store is not None or not file_io.is_absent(self.path)

    def summaries(self) -> list[SessionSummary]:
        """Return every session, newest first; none where there is no file yet."""
        return self.store.list([]) if self.exists else []

    def summary(self, session: str) -> SessionSummary:
        """Return the facts of a session.

        Raises:
            UsageError: If there is none of that id.
        """
        found = self.store.get(session)
        if found.id != session:
            raise UsageError(f"there is no session {tamed(session, 40)}.")
        return found.readable_summary([])

    def model(self, magnification: str) -> Model:
        """Return the model for an objective."""
        return self._load(magnification)

    def slide(self, session: str) -> Slide:
        """Return a slide, open for review.

        What takes long is done once, until the session has other fields or marks.
        """
        about = self.summary(session)
        found = self.store.get(session)
        key = (session, about.fields, about.refused, about.last, about.state, tuple(found.marks([]).items()))
        if key in self._slides:
            self._slides.move_to_end(key)
            return self._slides[key]
        for old in [each for each in self._slides if each[0] == session]:
            del self._slides[old]
        kept = restored(found, self._load(about.magnification), self.rules, self.reference)
        self._slides[key] = Slide(kept, OpenReview(self.store, kept, self.rules, self.reference))
        while len(self._slides) > OPEN_SLIDES:
            self._slides.popitem(last=False)
        return self._slides[key]

    def reviewed(self, session: str) -> tuple[Kept, Review]:
        """Return a slide and its review as of now.

        Both have what control slides say against the slide.
        """
        slide = self.slide(session)
        return self.controlled(slide, slide.opened.review())

    def standing(self, session: str) -> dict[str, str]:
        """Return a slide's verdict and the state of its review.

        They are as the list of slides has them, and are kept until the session or its review goes on.
        """
        about = self.summary(session)
        last = len(self.store.trail(session).entries([]))
        marks, controls = self.store.get(session).marks([]), log.read(self.store, [])
        key = (
            session,
            about.fields,
            about.refused,
            about.last,
            about.state,
            last,
            len(marks),
            len(controls),
            current().code,
        )
        if key not in self._standings:
            _, review = self.reviewed(session)
            verdict = review.result.verdict
            told = {"code": verdict.code, "title": guarded(verdict.title), "review": said(shortly(review))}
            self._standings[key] = told
            while len(self._standings) > OPEN_STANDINGS:
                self._standings.popitem(last=False)
        return self._standings[key]

    def controlled(self, slide: Slide, review: Review) -> tuple[Kept, Review]:
        """Return a slide and a review of it.

        Both have what control slides say against the slide.
        """
        return controlled(slide.kept, review, log.read(self.store, []))

    def field(self, session: str, number: int) -> CountedField:
        """Return a counted field with its crops and its thumbnail."""
        key = session, number
        if key not in self._fields:
            self._fields[key] = self.store.get(session).pictures.field(number)
            while len(self._fields) > OPEN_FIELDS:
                self._fields.popitem(last=False)
        self._fields.move_to_end(key)
        return self._fields[key]

    def view(self, session: str, number: int) -> bytes | None:
        """Return the picture of a field, JPEG; None if none was kept."""
        return self.store.get(session).pictures.view(number)

    def fields(self, session: str) -> list[CountedField]:
        """Return the fields of a session."""
        return list(self.store.get(session).counted([]))

    def plan(self, session: str, new: NewSlide, name: str, most: int) -> Plan:
        """Return where a picture will be counted.

        A signed slide, one counted live, and one that is full are left as they are: another session of the same slide
        begins.

        Args:
            session: Session to extend; empty for a new slide.
            new: Facts of a new session.
            name: Name that the client gave the picture.
            most: Maximum number of fields of a session.
        """
        label = tamed(name.replace("\\", "/").rpartition("/")[2], LONGEST_LABEL) or "picture"
        if not session:
            return Plan("", new, 0, label)
        about = self.summary(session)
        again = replace(
            new,
            slide=about.slide or about.id,
            magnification=about.magnification,
            um_per_px=about.um_per_px,
            site=about.site,
            device=about.device,
            profile=about.profile,
        )
        if remark := self._closed(about, most):
            return Plan("", again, 0, label, remark)
        taken = {each.field.name for each in self.slide(session).kept.result.counted}
        labels = [label, *(f"{label} ({number})" for number in range(2, len(taken) + 3))]
        free = next(each for each in labels if each not in taken)
        return Plan(session, again, len(taken), free)

    def _closed(self, about: SessionSummary, most: int) -> str:
        """Return why a session takes no more pictures; empty if it does."""
        if about.kind != "pictures":
            return f"session {about.id} was counted live; its pictures go to a session of their own."
        if about.fields >= most:
            return f"session {about.id} has {about.fields} pictures; more of them go to another session."
        review = self.slide(about.id).opened.review()
        if review.signed or review.revisions:
            return f"session {about.id} is signed; more pictures go to another session of the same slide."
        return ""

    def keep(self, plan: Plan, outcome: Outcome) -> str:
        """Keep the outcome of a picture; return the session.

        Raises:
            StoreError: If it cannot be kept.
        """
        held = self.store.extend(plan.session) if plan.session else self._started(plan.new)
        try:
            if outcome.counted:
                held.add(outcome.counted)
                with suppress(StoreError):  # the count is kept; only its picture is not
                    held.pictures.keep_view(outcome.counted.number, outcome.view)
            elif outcome.refused:
                held.refuse(outcome.refused)
            number = plan.number + (outcome.counted is not None)
            held.finish(f"{number} picture{'s' * (number != 1)} taken on the page")
        finally:
            held.release()
        return held.id

    def _started(self, new: NewSlide) -> Session:
        return self.store.start(
            NewSession(
                source="pictures from a phone",
                model=identify(self._load(new.magnification)),
                kind="pictures",
                um_per_px=new.um_per_px,
                slide=new.slide,
                operator=new.operator,
                site=new.site,
                device=new.device,
                profile=new.profile,
            )
        )

    def grouped(self) -> Iterator[tuple[str, list[SessionSummary]]]:
        """Yield slides with their sessions, the newest first.

        Sessions without a slide id stand alone, under an empty text.
        """
        slides: OrderedDict[str, list[SessionSummary]] = OrderedDict()
        for each in self.summaries():
            slides.setdefault(each.slide or f"\0{each.id}", []).append(each)
        for slide, sessions in slides.items():
            yield ("" if slide.startswith("\0") else slide), sessions
