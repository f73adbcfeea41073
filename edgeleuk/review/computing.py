"""Computation of a review from the program's result and a trail."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from edgeleuk.counting.kept import Kept
from edgeleuk.differential.conclusion import conclude
from edgeleuk.differential.for_reader import differential_function
from edgeleuk.differential.labelled import Labelled
from edgeleuk.differential.per_microlitre import estimate
from edgeleuk.differential.rules import Reference, Rules
from edgeleuk.differential.tally import FieldCount, UnrecognisedRules, count, total
from edgeleuk.differential.verdict import Pictures, Reason
from edgeleuk.results.slide_result import SlideResult
from edgeleuk.review import signing
from edgeleuk.review.labels import choices
from edgeleuk.review.ledger import Ledger
from edgeleuk.review.review import Added, Review, ReviewedCell, Revision
from edgeleuk.sessions.trail import Entry, faults
from edgeleuk.types import NOT_A_CELL, UNCLASSIFIED, Box, Field, Reading


class Computing:
    """Computes reviews of one session.

    What does not depend on the trail is computed once, and fields whose labels are as before are not counted
    again.
    """

    def __init__(self, kept: Kept, rules: Rules, reference: Reference) -> None:
        """Prepare.

        Args:
            kept: The session with the program's result.
            rules: Rules of the differential.
            reference: Reference ranges.
        """
        self.kept, self._rules = kept, rules
        self.labels = choices(kept.model.reader)
        self._differential = differential_function(kept.model.reader, rules, reference)
        self._doubts = UnrecognisedRules.of(kept.model.reader, rules)
        self._at = {  # by picture and box, which say where a cell is
            (kept.result.fields[position].name, kept.result.fields[position].cells[index].box): identity
            for identity, (position, index) in kept.where.items()
        }
        self._cells = self._as_read()
        self._counts: dict[int, tuple[Mapping[int, Reading], FieldCount, Field]] = {}

    def review(self, entries: tuple[Entry, ...], ledger: Ledger) -> Review:
        """Return the review as of a trail.

        Args:
            entries: The trail.
            ledger: Its sum.
        """
        cells = {identity: _reviewed(cell, ledger) for identity, cell in self._cells.items()}
        added = tuple(self._added(ledger))
        result = self._result(cells, added) if entries else self.kept.result
        flagged = self._flagged(result)
        cells = {
            identity: cell
            if (identity in flagged) == cell.flagged
            else replace(cell, flagged=not cell.flagged)
            for identity, cell in cells.items()
        }
        revisions = tuple(self._revisions(entries, ledger, result))
        wrong = [*faults(entries), *ledger.faults]
        if ledger.standing.signed and revisions:
            wrong += revisions[-1].faults
        return Review(
            session=self.kept.summary.id,
            program=self.kept.result,
            result=result,
            cells=cells,
            added=added,
            notes=ledger.notes,
            state=ledger.standing.state,
            signed=ledger.standing.signed,
            revision=ledger.revision,
            revisions=revisions,
            trail=entries,
            labels=self.labels,
            faults=tuple(wrong),
        )

    def start(self, cell: int) -> str | None:
        """Return the label of a cell before the review."""
        return self._cells[cell].start

    def _as_read(self) -> dict[int, ReviewedCell]:
        kept, blast_like = self.kept, self.kept.model.reader.blast_like
        flagged = self._flagged(kept.result)
        groups = (self._rules.group(rule.group) for rule in self._rules.presence.rules)
        findings = {label for group in groups for label in group.labels}
        cells = {}
        for identity, mapped in kept.cells.items():
            position, index = kept.where[identity]
            cell, field = kept.result.fields[position].cells[index], kept.result.counted[position]
            reading = kept.own.get(identity, mapped.reading)
            mark = kept.result.marks.get(identity) if reading else None
            label = mark or (reading.label if reading else None)
            likeness = sum(reading.probabilities.get(label, 0.0) for label in blast_like) if reading else 0.0
            cells[identity] = ReviewedCell(
                identity=identity,
                reading=reading,
                mark=mark,
                person=None,
                by="",
                looked_at=False,
                morphometry=cell.morphometry,
                whole=cell.whole,
                field=field.number,
                name=field.field.name,
                number=cell.number,
                box=cell.box,
                picture=mapped.picture,
                views=mapped.views,
                flagged=identity in flagged,
                flagged_by_program=identity in flagged,
                blast_like=likeness,
                finding=label in findings,
            )
        return cells

    def _flagged(self, result: SlideResult) -> frozenset[int]:
        """Return the cells that a flag or a reason names."""
        named = (each.places for each in result.differential.flags)
        reasons = (each.cells for each in result.verdict.reasons)
        places = (place for group in (*named, *reasons) for place in group)
        found = (self._at.get((place.picture, place.box)) for place in places)
        return frozenset(identity for identity in found if identity)

    def _added(self, ledger: Ledger) -> Iterator[Added]:
        names = {each.number: each.field.name for each in self.kept.result.counted}
        for identity, entry in ledger.added.items():
            label = ledger.label_of_added(identity)
            if label != NOT_A_CELL and entry.field is not None and entry.box is not None:
                name = names.get(entry.field, "")
                yield Added(identity, label, entry.field, name, entry.box, entry.who, entry.at, entry.why)

    def _result(self, cells: Mapping[int, ReviewedCell], added: Sequence[Added]) -> SlideResult:
        """Return the result with the persons' labels."""
        kept, sure = self.kept, {identity: cell for identity, cell in cells.items() if cell.sure}
        told: defaultdict[int, dict[int, Reading]] = defaultdict(dict)
        for identity, cell in cells.items():
            if cell.sure or (cell.person and cell.reading):
                position, index = kept.where[identity]
                told[position][index] = _as_told(cell)
        counts = [self._counted(position, told[position]) for position in range(len(kept.result.fields))]
        fields = tuple(field for _, field in counts)
        known = frozenset((cell.name, cell.box) for cell in sure.values())
        doubtful = _doubtful((each for each, _ in counts), known)
        tally = replace(total(each for each, _ in counts), doubtful=doubtful)
        labels = Counter(cell.label or "" for cell in sure.values())
        unsure = sum(cell.program in (None, UNCLASSIFIED) for cell in sure.values())
        refused = [each for each in kept.result.refused if each.exit_code]
        pictures = Pictures(kept.number, refused, kept.spoken)
        differential, verdict = conclude(
            tally,
            self._differential,
            pictures,
            self._rules,
            Labelled(dict(labels), unsure),
            tuple(self._reasons(added)),
        )
        red_cells = kept.summary.red_cells
        return replace(
            kept.result,
            fields=fields,
            tally=tally,
            differential=differential,
            verdict=verdict,
            estimates=estimate(fields, kept.result.area_mm2, self._rules, red_cells),
        )

    def _counted(self, position: int, told: Mapping[int, Reading]) -> tuple[FieldCount, Field]:
        """Return a field with the persons' labels, and its count."""
        before = self._counts.get(position)
        if before is None or before[0] != told:
            field = self.kept.result.fields[position]
            shown = tuple(
                replace(cell, reading=told[index]) if index in told else cell
                for index, cell in enumerate(field.cells)
            )
            field = replace(field, cells=shown) if told else field
            before = self._counts[position] = (dict(told), count(field, self._rules, self._doubts), field)
        return before[1], before[2]

    def _reasons(self, added: Iterable[Added]) -> Iterator[Reason]:
        """Yield reasons to look again at cells added by hand.

        They are in no percentage, so that no flag tells of them.
        """
        labels = Counter(each.label for each in added)
        for rule in self._rules.presence.rules:
            group = self._rules.group(rule.group)
            number = sum(labels[label] for label in group.labels)
            if number and not rule.over_percent:
                cells = f"1 cell added by hand as {group.one}"
                if number > 1:
                    cells = f"{number} cells added by hand as {group.many}"
                yield Reason(
                    f"added_{group.key}", f"{cells}, in no percentage. Confirm under the microscope."
                )

    def _revisions(self, entries: Sequence[Entry], ledger: Ledger, result: SlideResult) -> Iterator[Revision]:
        hashes = {entry.number: entry.hash for entry in entries}
        for entry in ledger.signatures:
            present = ledger.standing.signed and entry is ledger.signatures[-1]
            before, said = hashes.get(entry.number - 1, ""), signing.read(entry)
            wrong = signing.disagreements(entry, before, self.kept, result if present else None)
            yield Revision(
                number=entry.revision,
                by=entry.who,
                at=entry.at,
                why=entry.why,
                snapshot=str(said.get("snapshot", "")),
                entry=entry.number,
                counts=dict(said.get("counts", {})),
                verdict=str(said.get("verdict", "")),
                faults=tuple(wrong),
            )


def _reviewed(cell: ReviewedCell, ledger: Ledger) -> ReviewedCell:
    given, looked = ledger.given(cell.identity), cell.identity in ledger.looked
    if given is None and not looked:
        return cell
    person, by = (given.label, given.by) if given else (None, "")
    return replace(cell, person=person, by=by, looked_at=True)


def _as_told(cell: ReviewedCell) -> Reading:
    """Return the reading of a cell with its person's label.

    A type that the reader told as well keeps its attributes. How familiar the cell was to the reader is no matter
    any more once a person has named it.
    """
    own, label = cell.reading, cell.label or UNCLASSIFIED
    if not cell.sure and own:
        return replace(own, label=label, attributes={})
    same = own is not None and own.label == label
    return Reading(label, 1.0, {label: 1.0}, own.attributes if own and same else {})


def _doubtful(counts: Iterable[FieldCount], known: frozenset[tuple[str, Box]]) -> dict[str, int]:
    """Count the cells of doubtful pictures that no person labelled.

    By label; those at the places `known` are left out.
    """
    found: Counter[str] = Counter()
    for each in counts:
        if each.doubtful:
            found.update(cell.label for cell in each.white if (each.name, cell.box) not in known)
    return dict(found)
