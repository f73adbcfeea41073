"""Archives that are not what they should be: refused, each with its reason, and nothing on the disk changes."""

from __future__ import annotations

import json
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import packed
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeleuk.errors import EdgeleukError, InputError, ModelAlteredError, ModelError
from edgeleuk.models import registry, updates
from edgeleuk.models.updates.archive import MAX_ARCHIVE_BYTES
from edgeleuk.models.updates.update import MANIFEST, MAX_NETWORK_BYTES, SIGNATURE

FILES = packed.files("2.0")


def willing(_: registry.Model) -> None:
    """These archives must fail before a network would be opened."""


def with_manifest(change: Callable[[packed.Document], object]) -> bytes:
    """The archive of a small model with a changed update.json."""
    document = packed.update(FILES, "2.0")
    change(document)
    return packed.zipped([(MANIFEST, json.dumps(document).encode()), *FILES.items()])


def with_entries(*more: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    """The archive of a small model with more in it, which its manifest does not name."""
    manifest = json.dumps(packed.update(FILES, "2.0")).encode()
    return packed.zipped([(MANIFEST, manifest), *FILES.items(), *more])


def instead(info: zipfile.ZipInfo, content: bytes) -> bytes:
    """The archive of a small model with another entry for one of its files."""
    manifest = json.dumps(packed.update(FILES, "2.0")).encode()
    entries = [(info if name == info.filename else name, content if name == info.filename else old)
               for name, old in FILES.items()]  # fmt: skip
    return packed.zipped([(MANIFEST, manifest), *entries])


def with_model(change: Callable[[packed.Document], object]) -> bytes:
    """The archive of a small model with a changed model.json, and a manifest that agrees with it."""
    document = packed.model_json("2.0")
    change(document)
    return packed.archive(model__json=json.dumps(document).encode())


def patched(offset_of: bytes, by: bytes, at: int = 0) -> bytes:
    """A well-formed archive with some bytes overwritten, at a distance from the last occurrence of others."""
    data = bytearray(packed.archive())
    place = data.rindex(offset_of) + at
    data[place : place + len(by)] = by
    return bytes(data)


DIRECTORY, END = b"PK\x01\x02", b"PK\x05\x06"
WHOLE = packed.archive()
BOMB = b"\0" * 5_000_000


def named_twice() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return with_entries(("reader.onnx", b"another reader"))


HOSTILE: dict[str, Callable[[], bytes]] = {
    # Names that lead elsewhere
    "a path upwards": lambda: with_entries(("../../evil.onnx", b"x")),
    "an absolute path": lambda: with_entries(("/etc/cron.d/evil", b"x")),
    "a path with backslashes": lambda: with_entries(("..\\evil.onnx", b"x")),
    "a folder in it": lambda: with_entries(("sub/reader.onnx", b"x")),
    "an entry that is a folder": lambda: with_entries(("sub/", b"")),
    "a path upwards in the manifest": lambda: with_manifest(
        lambda d: d["files"].update({"../evil.onnx": d["files"]["reader.onnx"]})
    ),
    "a name with a zero byte": lambda: with_entries(("evil.onnx\0.txt", b"x")),
    "a name of other letters": lambda: with_entries(("reаder.onnx", b"x")),  # a Cyrillic letter
    "a hidden file": lambda: with_entries((".profile", b"x")),
    "a program": lambda: with_entries(("install.sh", b"#!/bin/sh")),
    "a library": lambda: with_entries(("libevil.so", b"\x7fELF")),
    "a version that is a path": lambda: packed.archive("../../evil"),
    "a version with a zero byte": lambda: with_manifest(lambda d: d.update(version="2.0\0")),
    "a version that stands for the program's own": lambda: packed.archive("BuiltIn"),
    "an endless version": lambda: packed.archive("9" * 300),
    "a magnification that is a path": lambda: packed.archive(magnification="../100x"),
    "an unknown magnification": lambda: packed.archive(magnification="63x"),
    # Names that stand for two things
    "two files of one name": named_twice,
    "two names that differ in capitals": lambda: with_entries(("README.MD", b"x")),
    "another name inside than in the directory": lambda: patched(b"reader.onnx", b"Reader.onnx"),
    "a file named twice in the manifest": lambda: packed.zipped([
        (MANIFEST, json.dumps(packed.update(FILES, "2.0")).replace('"version": "2.0"', '"version": "2.0", "version": "2.1"').encode()),
        *FILES.items(),
    ]),
    # What grows
    "a bomb": lambda: instead(packed.entry("reader.onnx", compression=zipfile.ZIP_DEFLATED), BOMB),
    "a bomb of another kind": lambda: instead(packed.entry("reader.onnx", compression=zipfile.ZIP_LZMA), BOMB),
    "a network that is too large": lambda: packed.archive(reader__onnx=b"\0" * (MAX_NETWORK_BYTES + 1)),
    "an archive that is too large": lambda: WHOLE + b"\0" * MAX_ARCHIVE_BYTES,
    "a manifest that is too large": lambda: packed.zipped([(MANIFEST, b" " * 20_000), *FILES.items()]),
    "a card that is too large": lambda: packed.archive(README__md=b"#" * 3_000_000),
    "many files": lambda: with_entries(*((f"n{i}.onnx", b"x") for i in range(10))),
    "very many files": lambda: with_entries(*((f"n{i}.onnx", b"") for i in range(20_000))),
    "a size that is not its own": lambda: patched(DIRECTORY, struct.pack("<2L", 2**31, 2**31), 20),
    "entries that lie over each other": lambda: patched(DIRECTORY, struct.pack("<L", 0), 42),
    "a manifest as deep as a well": lambda: packed.zipped([(MANIFEST, b"[" * 15_000), *FILES.items()]),
    "a model.json as deep as a well": lambda: packed.archive(model__json=b"[" * 100_000),
    # What is no plain file
    "a link": lambda: instead(packed.entry("README.md", stat.S_IFLNK | 0o777), b"/etc/passwd"),
    "a device": lambda: instead(packed.entry("README.md", stat.S_IFCHR | 0o666), packed.CARD),
    "a pipe": lambda: instead(packed.entry("README.md", stat.S_IFIFO | 0o666), packed.CARD),
    "an encrypted file": lambda: patched(DIRECTORY, b"\x01", 8),
    "an unknown compression": lambda: patched(DIRECTORY, b"\x63", 10),
    # What is no archive, or not all of one
    "nothing": lambda: b"",
    "a text": lambda: b"Please find the model attached.",
    "a picture": lambda: b"\xff\xd8\xff\xe0" + b"\0" * 1000,
    "a program as the archive": lambda: b"\x7fELF\x02\x01\x01" + b"\0" * 1000,
    "a program before the archive": lambda: b"\x7fELF" + WHOLE,
    "something after the archive": lambda: WHOLE + b"evil",
    "a comment": lambda: packed.zipped([("x", b"")], comment=b"PK\x05\x06" + b"\0" * 40),
    "an archive without its end": lambda: WHOLE[:-30],
    "half an archive": lambda: WHOLE[: len(WHOLE) // 2],
    "a gap before the directory": lambda: WHOLE[: WHOLE.index(DIRECTORY)] + b"hidden" + WHOLE[WHOLE.index(DIRECTORY) :],
    "two archives": lambda: WHOLE + packed.archive("3.0"),
    "an archive in several parts": lambda: patched(END, b"\x01", 4),
    "an empty archive": lambda: packed.zipped([]),
    # Content that is not what was announced
    "an altered network": lambda: instead(packed.entry("reader.onnx"), packed.READER[:-1] + b"!"),
    "an altered network of another length": lambda: instead(packed.entry("reader.onnx"), packed.READER + b"!"),
    "an altered card": lambda: instead(packed.entry("README.md"), b"# A card\n\n"),
    "a wrong hash in the manifest": lambda: with_manifest(
        lambda d: d["files"]["reader.onnx"].update(sha256="0" * 64)
    ),
    "no hash in the manifest": lambda: with_manifest(lambda d: d["files"]["reader.onnx"].pop("sha256")),
    "a hash that is none": lambda: with_manifest(lambda d: d["files"]["reader.onnx"].update(sha256=["0"])),
    "a file that the manifest does not name": lambda: with_entries(("more.onnx", b"x")),
    "a file of the manifest that is missing": lambda: with_manifest(
        lambda d: d["files"].update({"more.onnx": d["files"]["reader.onnx"]})
    ),
    "no manifest": lambda: packed.zipped([*FILES.items()]),
    "no model": lambda: packed.archive(model__json=None),
    "no network": lambda: packed.archive(reader__onnx=None),
    "a network besides": lambda: packed.archive(third__onnx=b"x"),
    "a manifest that is a list": lambda: packed.zipped([(MANIFEST, b"[]"), *FILES.items()]),
    "a manifest that is no text": lambda: packed.zipped([(MANIFEST, b"\xff\xfe"), *FILES.items()]),
    "a manifest with more in it": lambda: with_manifest(lambda d: d.update(run="evil")),
    "a number that is none": lambda: with_manifest(lambda d: d["files"]["README.md"].update(bytes=float("nan"))),
    "a later format": lambda: with_manifest(lambda d: d.update(format="edgeleuk-model-update/2")),
    "another format": lambda: with_manifest(lambda d: d.update(format=["edgeleuk-model-update/1"])),
    "a later model": lambda: with_model(lambda d: d.update(schema=2)),
    "a model of another version": lambda: with_model(lambda d: d.update(version="2.1")),
    "a model of another magnification": lambda: with_model(lambda d: d.update(magnification="40x")),
    "a model with another network's hash": lambda: with_model(lambda d: d["reader"].update(sha256="0" * 64)),
    "a model whose network lies elsewhere": lambda: with_model(lambda d: d["reader"].update(file="/etc/passwd")),
    "a model that is a network": lambda: packed.archive(model__json=b"\x08\x08"),
    "a model of nonsense": lambda: with_model(lambda d: d["reader"].update(temperature=0)),
    "a signature that is none": lambda: with_entries((SIGNATURE, b"signed, the manager")),
    "a signature that is too large": lambda: with_entries((SIGNATURE, b" " * 2_000)),
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store in which a model is in use."""
    place = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGELEUK_MODEL_STORE", str(place / "store"))
        patch.delenv("EDGELEUK_MODELS", raising=False)
        patch.delenv("EDGELEUK_KEYS", raising=False)
        updates.install(packed.archive("1.9"), willing)
        yield place


def refusal(store: Path, data: bytes) -> EdgeleukError:
    """The error for an archive; nothing under or beside the store is other than it was."""
    before = packed.tree(store)
    with pytest.raises(EdgeleukError) as caught:
        updates.install(data, willing)
    assert packed.tree(store) == before
    return caught.value


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_and_nothing_changes(store: Path, name: str) -> None:
    """An error of the input or of the model, in one line that says so and what to do."""
    error = refusal(store, HOSTILE[name]())
    assert isinstance(error, (InputError, ModelError))
    assert "\n" not in str(error)
    assert len(str(error)) < 700


@pytest.mark.usefixtures("store")
def test_the_archive_that_all_these_are_made_from_is_taken() -> None:
    """So that they are refused for what is wrong with each of them."""
    updates.install(WHOLE, willing)
    assert registry.load("100x").version == "2.0"
    updates.rollback("100x")
    updates.remove("100x", "2.0")


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("a path upwards", InputError, "it holds '../../evil.onnx', which is no file of a model"),
        ("two files of one name", InputError, "two files of one name"),
        ("a bomb", InputError, "reader.onnx in it is compressed or encrypted"),
        ("a link", InputError, "README.md in it is a link, a folder or a device"),
        ("half an archive", InputError, "its end is missing, as after a copy that was cut off"),
        ("an altered network", ModelAlteredError, "reader.onnx in it is not the file that its manifest names"),
        ("a later format", InputError, "this program reads 'edgeleuk-model-update/1'; update edgeleuk"),
        ("a signature that is none", ModelAlteredError, "its signature is wrong"),
        ("a model of another version", ModelError, "it says version 2.0, its model '2.1'"),
    ],
)  # fmt: skip
def test_a_refusal_says_why(store: Path, name: str, kind: type[EdgeleukError], reason: str) -> None:
    """What is wrong, that nothing was changed, and what to do."""
    error = refusal(store, HOSTILE[name]())
    assert type(error) is kind
    assert reason in str(error)
    assert "Nothing was changed." in str(error)


unhurried = settings(max_examples=30, deadline=None)


@unhurried
@given(length=st.integers(0, len(WHOLE) - 1))
def test_an_archive_cut_off_anywhere_is_refused(store: Path, length: int) -> None:
    """As by a stick that was pulled out."""
    refusal(store, WHOLE[:length])


@unhurried
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(1, 255)), min_size=1, max_size=4))
def test_altered_bytes_are_refused_or_mean_nothing(store: Path, changes: list[tuple[int, int]]) -> None:
    """Wherever they are: what is installed nevertheless is the model that was packed, to the last byte."""
    data = bytearray(WHOLE)
    for place, change in changes:
        data[place] ^= change
    try:
        archive = updates.read(bytes(data))
    except (InputError, ModelError):
        refusal(store, bytes(data))
    else:  # a time or an attribute in the zip, which nobody reads
        assert archive.files == FILES
        assert archive.manifest == updates.read(WHOLE).manifest


@unhurried
@given(st.binary(max_size=400), st.booleans())
def test_noise_is_refused(store: Path, noise: bytes, like_a_zip: bool) -> None:
    """Also where it begins and ends as an archive does."""
    end = struct.pack("<4s4H2LH", END, 0, 0, 1, 1, len(noise), 4, 0)
    refusal(store, b"PK\x03\x04" + noise + end if like_a_zip else noise)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@unhurried
@given(
    key=st.sampled_from(["format", "magnification", "version", "files", "bytes", "sha256", "a file"]),
    value=json_values,
)
def test_any_other_value_in_the_manifest_is_refused(store: Path, key: str, value: object) -> None:
    """Of whatever type; versions that are well formed contradict the model and are refused there."""
    document = packed.update(FILES, "2.0")
    entry = document["files"]["reader.onnx"]
    if key == "a file":
        document["files"]["reader.onnx"] = value
    else:
        (entry if key in entry else document)[key] = value
    if document == packed.update(FILES, "2.0"):
        return
    text = json.dumps(document).encode("utf-8", "surrogatepass")
    refusal(store, packed.zipped([(MANIFEST, text), *FILES.items()]))


@unhurried
@given(name=st.text(min_size=1, max_size=30).filter(lambda name: name not in (*FILES, MANIFEST)))
def test_any_other_name_in_the_archive_is_refused(store: Path, name: str) -> None:
    """Whatever it is made of."""
    try:
        data = with_entries((name, b"x"))
    except (ValueError, UnicodeEncodeError):  # no name that zip could hold
        return
    refusal(store, data)
