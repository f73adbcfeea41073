"""Archives of one model: zip files with stored entries.

An archive carries a model on a stick. Its entries are stored, not compressed.

Why zip: every computer can look into it, and its directory stands at the end, so that a copy that was cut
off is known at once. Why not compressed: nothing can grow when it is unpacked, so there are no zip bombs,
and INT8 networks hardly shrink (gzip takes 12 % off the 100x model, measured). Only the plainest form of
zip is read, the one that `pack` writes.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgeleuk.errors import ModelMissingError
from edgeleuk.models.registry import Model
from edgeleuk.models.updates.update import (
    FILE_NAME,
    MANIFEST,
    MAX_FILES,
    MAX_MANIFEST_BYTES,
    MAX_NETWORK_BYTES,
    MODEL,
    SIGNATURE,
    Entry,
    Update,
    limit,
    read_update,
    refusal,
)
from edgeleuk.models.zip_errors import MALFORMED_ZIP
from edgeleuk.system import file_io
from edgeleuk.system.wording import command

MAX_ARCHIVE_BYTES = 2 * MAX_NETWORK_BYTES
MAX_SIGNATURE_BYTES = 1_000
MAX_DIRECTORY_BYTES = 2_000
"""Maximum size of the zip's directory, bytes.

The directory is the list of entries at the end of the archive; eight short names need half of the limit.
Python makes objects of all of it before anybody can count them.
"""
_LOCAL, _END, _END_64 = b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x07"
_END_RECORD = struct.Struct("<4s4H2LH")
"""End-of-directory record of a zip file.

Section 4.3.16 of https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT (ZIP File Format
Specification).
"""
_END_64_BYTES = 20
_ENCRYPTED = 0x1
_MALFORMED: tuple[type[Exception], ...] = (*MALFORMED_ZIP, struct.error)


@dataclass(frozen=True, slots=True)
class Archive:
    """Contents of an archive, not yet trusted.

    Every file is the one that the manifest names.
    """

    update: Update
    manifest: bytes
    """`update.json` as archived: the signed bytes."""
    signature: bytes | None
    files: Mapping[str, bytes]


def pack(model: Model, sign: Callable[[bytes], bytes] | None = None) -> bytes:
    """Pack a model into an archive.

    `sign` makes the signature of the manifest. The same model gives the same bytes.

    Raises:
        ModelMissingError: A file cannot be read.
        InputError: The archive could not be installed.
    """
    paths = [model.folder / MODEL, model.folder / "README.md", *model.files]
    try:
        files = {
            path.name: file_io.read_bytes(path, limit(path.name))
            for path in paths
            if path.name != "README.md" or path.exists()
        }
    except OSError as error:
        raise ModelMissingError(
            f"{error.filename} cannot be read: {error.strerror}. Install the model again."
        ) from error
    manifest = Update(
        model.magnification, model.version, {name: Entry.of(content) for name, content in files.items()}
    ).as_bytes()
    entries = {MANIFEST: manifest} | ({SIGNATURE: sign(manifest)} if sign else {}) | files
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name)  # dated 1980: the same model gives the same archive
            info.create_system = 3  # Unix, wherever it is packed, so that the mode is valid
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    read(packed.getvalue())
    return packed.getvalue()


def read(data: bytes) -> Archive:
    """Read an archive and verify its files.

    Every file is checked against the manifest; nothing is written.

    Raises:
        InputError: `data` is no archive, or none of the plain kind.
        ModelAlteredError: A file differs from the manifest.
    """
    _check_ends(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            for info in infos:
                _check_entry(info)
            _check_names([info.filename for info in infos])
            contents = {info.filename: archive.read(info) for info in infos}
    except _MALFORMED as error:
        raise refusal(f"it is damaged, or no archive of the kind that carries models ({error})") from error
    if MANIFEST not in contents:
        raise refusal(f"it has no {MANIFEST}")
    manifest, signature = contents.pop(MANIFEST), contents.pop(SIGNATURE, None)
    update = read_update(manifest)
    update.check(contents)
    return Archive(update, manifest, signature, contents)


def _check_ends(data: bytes) -> None:
    """Check the outer structure before zipfile reads it.

    The data must be small enough, a zip from its first byte to its last, and have a short directory.
    """
    if len(data) > MAX_ARCHIVE_BYTES:
        raise refusal(f"it is larger than {MAX_ARCHIVE_BYTES / 1e6:.0f} MB")
    if not data.startswith(_LOCAL) or len(data) < _END_RECORD.size:
        raise refusal(f"it is no archive made by `{command('models pack')}`")
    end = len(data) - _END_RECORD.size
    mark, *disks, here, entries, size, offset, comment = _END_RECORD.unpack_from(data, end)
    if mark != _END or comment or any(disks) or here != entries:
        raise refusal("its end is missing, as after a copy that was cut off, or something was added to it")
    if entries > MAX_FILES + 2 or size > MAX_DIRECTORY_BYTES:
        raise refusal("it holds more files than a model has")
    if offset + size != end or data[end - _END_64_BYTES :].startswith(_END_64):
        raise refusal("it holds something beside its files")


def _check_entry(info: zipfile.ZipInfo) -> None:
    """Check that an entry is a plain stored file.

    A model must be able to have a file of this name and size.
    """
    name = info.orig_filename  # zipfile cuts `filename` at a zero byte
    largest = {MANIFEST: MAX_MANIFEST_BYTES, SIGNATURE: MAX_SIGNATURE_BYTES}.get(name, limit(name))
    if name != info.filename or not (name in (MANIFEST, SIGNATURE) or FILE_NAME.fullmatch(name)):
        raise refusal(f"it holds {name[:60]!r}, which is no file of a model")
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        raise refusal(f"{name} in it is a link, a folder or a device")
    if (
        info.compress_type != zipfile.ZIP_STORED
        or info.compress_size != info.file_size
        or info.flag_bits & _ENCRYPTED
    ):
        raise refusal(f"{name} in it is compressed or encrypted, which no model update is")
    if info.file_size > largest:
        raise refusal(f"{name} in it is larger than {largest / 1e6:g} MB")


def _check_names(names: list[str]) -> None:
    if len({name.casefold() for name in names}) < len(names):
        raise refusal("it holds two files of one name")
