"""Results from the JSON documents that `analyze` and `sessions export` write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgeleuk.differential.per_microlitre import Estimates, PerMicrolitre
from edgeleuk.differential.verdict import Reason, Verdict
from edgeleuk.errors import InputError, RecordError
from edgeleuk.reports._documents import Document, VerdictPart, findings
from edgeleuk.results.slide_result import ModelIdentity, Provenance, SlideResult
from edgeleuk.system import file_io
from edgeleuk.system.wording import command, option
from edgeleuk.types import (
    Box,
    Overlap,
    Place,
    Refusal,
    Tally,
)

SCHEMAS = ("edgeleuk-analysis/1", "edgeleuk-session/1")


def read_json(path: Path) -> SlideResult:
    """Read a result from the JSON that `analyze` or `sessions export` wrote.

    What a report does not need (attributes, shares corrected for the reader's errors) is not restored.

    Raises:
        InputError: The file cannot be read.
        RecordError: The file holds something else; a subclass of InputError.
    """
    try:
        document = file_io.read_json(path, file_io.TABLE_BYTES)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from error
    except file_io.UnreadableError as error:
        raise RecordError(
            f"{path} is no result: {error}. Give the JSON of `{command('analyze')}`."
        ) from error
    return from_document(document, str(path))


def from_document(document: Any, name: str) -> SlideResult:
    """Restore a result from a parsed document.

    `name` is the file's, for the message.

    Raises:
        RecordError: The document is not of SCHEMAS, or its values contradict each other.
    """
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema not in SCHEMAS:
        raise RecordError(
            f"{name} is no result of this program (schema {schema!r}). Give what"
            f" `{command('analyze')} {option('json')}` or `{option('out')}` wrote."
        )
    if schema == SCHEMAS[1]:
        document = document | {"images": document.get("fields"), "model": document.get("counted_by")}
    try:
        return _result(msgspec.convert(document, Document))
    except (msgspec.ValidationError, ValueError, KeyError) as error:
        raise RecordError(f"{name} is damaged, or was changed: {error}. Write it anew.") from error


def _result(read: Document) -> SlideResult:
    counted = tuple(each.value(number) for number, each in enumerate(read.images, 1))
    boxes = {
        (each.field.name, cell.number): cell.box
        for each in counted
        for cell in each.field.cells
        if cell.number
    }
    about, model = read.result, read.model
    return SlideResult(
        about=Provenance(
            about.id, read.edgeleuk, ModelIdentity(*(getattr(model, name) for name in model.__struct_fields__)),
            about.started, about.ended, about.source, about.slide, about.operator, about.site, about.device, about.profile,
        ),
        counted=counted,
        fields=tuple(each.field for each in counted),
        tally=Tally(len(counted), {}, {}, {}),
        differential=read.differential.value(),
        area_mm2=read.area_mm2,
        refused=(
            *(Refusal(each.path, each.code, each.text, findings(each.findings), each.exit_code) for each in read.refused),
            *(Refusal(each.path, each.code, each.reason) for each in read.left_out),
        ),
        overlaps=tuple(Overlap(*msgspec.structs.astuple(each)) for each in read.overlaps),
        estimates=Estimates(
            tuple(PerMicrolitre(*msgspec.structs.astuple(each)) for each in read.estimates.values),
            read.estimates.refused,
        ),
        verdict=_verdict(read.verdict, boxes),
    )  # fmt: skip


def _verdict(read: VerdictPart, boxes: Mapping[tuple[str, int], Box]) -> Verdict:
    reasons = []
    for each in read.reasons:
        cells = tuple(
            Place(cell.picture, boxes.get((cell.picture, cell.number), (0.0, 0.0, 0.0, 0.0)), cell.number)
            for cell in each.cells
        )
        reasons.append(Reason(each.code, each.text, cells, each.detail))
    return Verdict(read.code, read.text, tuple(reasons))
