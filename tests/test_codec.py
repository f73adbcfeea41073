"""The lossless form: what is decoded equals what was encoded, and what is damaged or newer is told."""

from __future__ import annotations

import struct
from dataclasses import fields as parts_of
from dataclasses import is_dataclass, replace
from math import inf, nan
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import pytest
import records
from counted import MODEL, counted_field, same
from hypothesis import given, settings
from hypothesis import strategies as st
from standard import RULES, judged

from edgeleuk import types
from edgeleuk.differential import differential, flags, verdict
from edgeleuk.differential.tally import tally
from edgeleuk.errors import InputError, RecordError
from edgeleuk.results import codec, slide_result
from edgeleuk.results.codec import decode, encode, read_result
from edgeleuk.results.slide_result import Provenance, SlideResult
from edgeleuk.statistics import bounds, likeness
from edgeleuk.types import CountedField, Field, Placement, Refusal, Tally

PROVENANCE = Provenance("5f0c1c36-4e63-4a0a-8d4e-35c2d2a1d0b1", "0.1.0", MODEL, "2026-11-24T10:00:00+00:00")
EVERY = {
    Field: records.fields,
    CountedField: records.counted_fields(),
    Tally: records.tallies,
    Refusal: records.refusals,
    SlideResult: records.results(),
}


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_what_is_decoded_equals_what_was_encoded(kind: type[Field]) -> None:
    """Every value of every kind, the order of its mappings, and the same bytes again."""

    @settings(max_examples=60, deadline=None)
    @given(EVERY[kind])
    def round_trip(value: Field) -> None:
        data = encode(value)
        back = decode(data, kind)
        assert back == value
        assert type(back) is kind
        assert _ordered(back) == _ordered(value)
        assert encode(back) == data

    round_trip()


def _ordered(value: Any) -> Any:
    """A value as nested lists, in which the order of a mapping shows and that of a set does not."""
    if isinstance(value, dict):
        return [[key, _ordered(each)] for key, each in value.items()]
    if isinstance(value, tuple):
        return [_ordered(each) for each in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if is_dataclass(value):
        return [_ordered(getattr(value, part.name)) for part in parts_of(value)]
    return value


@pytest.mark.parametrize("number", [nan, inf, -inf, -0.0, 5e-324, 1 / 3, struct.unpack("<d", b"\x01" * 8)[0]])
def test_numbers_come_back_bit_by_bit(number: float) -> None:
    """Also those that JSON has not."""
    counted = replace(counted_field(1), sharpness=number, seconds=number)
    back = decode(encode(counted), CountedField)
    assert struct.pack("<d", back.sharpness) == struct.pack("<d", number) == struct.pack("<d", back.seconds)


def test_a_field_with_its_pictures_comes_back() -> None:
    """Thumbnail and crops of a live field, byte by byte."""
    for number in range(1, 13):
        assert same(decode(encode(counted_field(number)), CountedField), counted_field(number))


def test_numbers_of_numpy_become_numbers() -> None:
    """A caller that leaves numpy's scalars in a field gets equal numbers of Python back."""
    field = counted_field(2)
    given_field = replace(
        field,
        number=np.int64(2),
        sharpness=np.float32(0.1),
        identities=tuple(np.int64(i) for i in field.identities),
        placement=Placement(np.int64(1), np.float32(0.1), np.float64(0.2)),
    )
    back = decode(encode(given_field), CountedField)
    assert back == given_field
    assert {type(back.number), type(back.identities[0])} == {int}
    assert {type(back.sharpness), type(back.placement.x_um)} == {float}


def test_mappings_of_any_kind_are_kept() -> None:
    """A read-only view of a dictionary is one."""
    counted = tally([counted_field(1).field], RULES)
    assert decode(encode(replace(counted, white=MappingProxyType(dict(counted.white)))), Tally) == counted


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damage_is_told(data: st.DataObject) -> None:
    """Wherever a byte is changed, or the record ends early or late: RecordError, or the same value."""
    whole = encode(counted_field(3))
    at = data.draw(st.integers(0, len(whole) - 1) | st.integers(0, 120))
    how = data.draw(st.sampled_from(["changed", "cut", "longer"]))
    damaged = {
        "changed": whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :],
        "cut": whole[:at],
        "longer": whole + whole[: at + 1],
    }[how]
    try:
        assert decode(damaged, CountedField) == decode(whole, CountedField)  # as one of an older version
    except RecordError as told:
        assert len(str(told)) < 300


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_other_bytes_are_no_record(data: bytes) -> None:
    """Whatever they are."""
    with pytest.raises(RecordError):
        decode(data, Tally)


def _altered(value: Any, alter: Any) -> bytes:
    """A record whose body was altered, with a good checksum: as of a program that writes nonsense."""
    envelope = msgspec.msgpack.decode(encode(value))
    content = msgspec.msgpack.decode(envelope["content"])
    body = msgspec.msgpack.decode(codec.zlib.decompress(content["body"]))
    alter(body)
    written = msgspec.msgpack.encode(body)
    content |= {"size": len(written), "body": codec.zlib.compress(written)}
    envelope["content"] = msgspec.msgpack.encode(content)
    envelope["checksum"] = codec.zlib.crc32(envelope["content"])
    return msgspec.msgpack.encode(envelope)


@pytest.mark.parametrize(
    ("alter", "told"),
    [
        (lambda body: body.update(width=0), "a side of a field is 0"),
        (lambda body: body.update(width="wide"), "Expected `int`, got `str`"),
        (lambda body: body["scale"].update(um_per_px_x=-0.1), "a scale is -0.1"),
        (lambda body: body["scale"].update(source="guess"), "Invalid enum value 'guess'"),
        (lambda body: body["cells"].update(count=2), "fewer or more cells"),
        (lambda body: body["cells"].update(kinds=[]), "a cell is of no kind"),
        (lambda body: body["cells"]["examined"].update({9999: [None, None]}), "a reading is of no cell"),
        (lambda body: body["cells"]["examined"].update({0: [None, None, -1]}), "a cell's number is -1"),
        (lambda body: body.pop("warnings"), "missing required field `warnings`"),
        (lambda body: body.update(newer=1), "unknown field `newer`"),
    ],
)
def test_nonsense_is_told(alter: Any, told: str) -> None:
    """Types and ranges are checked, also where the checksum is right."""
    with pytest.raises(RecordError, match=told):
        decode(_altered(counted_field(1).field, alter), Field)


@pytest.mark.parametrize(
    ("alter", "told"),
    [
        (lambda body: body.update(doubtful_pictures=-1), "a count is -1"),
        (lambda body: body["not_recognised"].update(cells=-1), "a count is -1"),
        (lambda body: body["not_recognised"]["possible"].update(blast=-2), "a count is -2"),
        (lambda body: body.update(blast_like_doubted=-0.5), "a summed probability is -0.5"),
        (lambda body: body["not_recognised"]["expected"].update(blast=nan), "a summed probability is nan"),
        (lambda body: body["most_blast_like"].append([1.5, ["a", [0, 0, 1, 1], 1]]), "a probability is"),
        (lambda body: body["most_blast_like"].append([0.5, ["a"]]), "Expected `array`"),
    ],
)
def test_nonsense_about_doubts_is_told(alter: Any, told: str) -> None:
    """Sums and counts of cells that were not recognised are checked like the others."""
    counted = tally([counted_field(1).field], RULES)
    with pytest.raises(RecordError, match=told):
        decode(_altered(counted, alter), Tally)


def _of_version_1(value: Any, *added: str) -> bytes:
    """A record as version 1 wrote it: without the parts that were added since."""

    def alter(body: Any) -> None:
        for name in added:
            del body[name]

    return _altered(value, alter).replace(b"/5", b"/1", 1)


def test_a_tally_of_version_1_has_no_doubts() -> None:
    """What it did not add up is nothing."""
    added = (
        "not_recognised",
        "blast_like",
        "blast_like_doubted",
        "blast_like_read",
        "most_blast_like",
        "doubtful",
        "findings",
        "doubtful_pictures",
        "familiarity",
        "familiarity_cells",
    )
    whole = Tally(
        1,
        {"blast": 2},
        {},
        {},
        blast_like=2.0,
        doubtful={"blast": 1},
        doubtful_pictures=1,
        familiarity=1.5,
        familiarity_cells=2,
    )
    assert decode(_of_version_1(whole, *added), Tally) == Tally(1, {"blast": 2}, {}, {})


def test_cells_of_version_1_have_no_number() -> None:
    """They had a reading and a morphometry only."""
    field = counted_field(1).field

    def without_numbers(body: Any) -> None:
        body["cells"]["examined"] = {i: each[:2] for i, each in body["cells"]["examined"].items()}

    back = decode(_altered(field, without_numbers).replace(b"/5", b"/1", 1), Field)
    plain = tuple(replace(cell, number=0) for cell in field.cells)
    assert any(cell.number for cell in field.cells)
    assert back == replace(field, cells=plain)


def test_cells_of_version_3_have_no_familiarity() -> None:
    """It was not measured then."""
    field = counted_field(1).field
    familiar = tuple(
        replace(cell, reading=cell.reading and replace(cell.reading, familiarity=0.9)) for cell in field.cells
    )
    assert any(cell.reading for cell in field.cells)

    def without(body: Any) -> None:
        for reading, *_ in body["cells"]["examined"].values():
            if reading:
                assert reading.pop("familiarity") == 0.9

    back = decode(_altered(replace(field, cells=familiar), without).replace(b"/5", b"/3", 1), Field)
    assert back == field


def test_a_result_of_version_1_says_that_it_has_no_verdict() -> None:
    """And what to do, rather than that nothing was flagged."""
    counted = tally([], RULES)
    result = SlideResult(PROVENANCE, (), (), counted, judged(counted, labels=["blast"]), 0.0)
    back = decode(_of_version_1(result, "verdict"), SlideResult)
    assert back.verdict.code == "not_usable"
    assert back.verdict.text == (
        "An older edgeleuk kept this result, without a verdict. Analyse the pictures again."
    )


def test_a_bomb_is_not_inflated() -> None:
    """A body that says it is small and is not."""
    content = msgspec.msgpack.encode({"size": 10, "body": codec.zlib.compress(bytes(10_000_000))})
    data = {"schema": "edgeleuk-field/2", "checksum": codec.zlib.crc32(content), "content": content}
    with pytest.raises(RecordError, match="ends early, or later"):
        decode(msgspec.msgpack.encode(data), Field)


@pytest.mark.parametrize(
    "alter",
    [
        lambda counted: replace(counted, number=0),
        lambda counted: replace(counted, fresh=frozenset({2**50})),
        lambda counted: replace(counted, identities=(1,)),
        lambda counted: replace(counted, crops={9999: b""}),
        lambda counted: replace(counted, thumbnail=counted.thumbnail.astype(np.float32)),
        lambda counted: replace(counted, field=replace(counted.field, seconds={"find": object()})),
    ],
)
def test_what_could_not_be_read_is_not_written(alter: Any) -> None:
    """A fault of the program shows when it writes, not years later."""
    with pytest.raises(RecordError, match="a fault of the program"):
        encode(alter(counted_field(1)))


def test_a_newer_record_names_both_versions() -> None:
    """And says what to do; one of another kind says which."""
    data = encode(Refusal("a.jpg", "focus", "out of focus"))
    newer = data.replace(b"edgeleuk-refusal/5", b"edgeleuk-refusal/6")
    with pytest.raises(RecordError, match=r"newer edgeleuk \(edgeleuk-refusal/6; .*/5\)\. Update edgeleuk"):
        decode(newer, Refusal)
    with pytest.raises(RecordError, match="should hold edgeleuk-tally, and says 'edgeleuk-refusal/5'"):
        decode(data, Tally)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Absent, or no result."""
    with pytest.raises(InputError, match=r"absent: No such file"):
        read_result(tmp_path / "absent")
    (tmp_path / "other").write_bytes(b"{}")
    with pytest.raises(RecordError, match=r"other: the record is damaged"):
        read_result(tmp_path / "other")


MODULES = (types, slide_result, verdict, flags, likeness, bounds, differential)
PARTS = """
AttributeReading value probability sure
Reading label probability probabilities attributes familiarity
Morphometry diameter_um cell_area_um2 nucleus_area_um2 nc_ratio lobes reason
Cell kind box score whole reading morphometry number
Scale um_per_px_x um_per_px_y source relative_error red_cells
FieldOfView x y semi_major semi_minor angle shape
Finding code severe measure threshold text
Assessment findings forced
Field name width height scale cells seconds warnings not_counted field_of_view assessment profile
Placement island x_um y_um angle new_ground moved_um zoom mirrored
CountedField number seconds at field placement sharpness identities fresh thumbnail crops
Tally fields white kinds attributes places cut unread not_counted not_recognised blast_like blast_like_doubted blast_like_read \
most_blast_like doubtful findings doubtful_pictures familiarity familiarity_cells
NotRecognised cells expected possible counted lineages
Place picture box number
Overlap number other kind shared turned mirrored zoom
Refusal name code text findings exit_code
ModelIdentity magnification version finder_sha256 reader_sha256 manifest_sha256
Provenance id program model started ended source slide operator site device profile
SlideResult about counted fields tally differential area_mm2 refused overlaps marks estimates verdict
Verdict code text reasons
Reason code text cells detail named
Flag code text severity places sources detail
BlastLikeness cells sum doubted expected limit
Bounds low high
Familiarity cells mean least accuracy_elsewhere
Lineage untyped share bounds
Differential n types groups corrected corrected_groups corrected_per_100 subtypes outside per_100 cut unread red_cells \
platelets attributes flags adequacy reference supported bounds group_bounds bounds_per_100 blast_likeness lineages dismissed \
familiarity
"""
"""Of version 5. A part that is added raises `codec.VERSION`: older programs must refuse what they would drop."""


def test_a_part_is_not_added_without_a_new_version() -> None:
    """What records hold is what this version holds."""
    assert codec.VERSION == 5
    for line in PARTS.split("\n")[1:-1]:
        name, *parts = line.split()
        kind = next(getattr(module, name) for module in MODULES if hasattr(module, name))
        has = [*kind._fields] if issubclass(kind, tuple) else [part.name for part in parts_of(kind)]
        assert has == parts
