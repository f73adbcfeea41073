"""Ed25519 signatures (RFC 8032) of archive manifests.

They tell who made an archive. This is the only module that imports cryptography.

`update.sig` holds the signer's public key beside the signature, so that a wrong signature is refused even
if no key is trusted yet. A key that comes with the archive proves nothing about who owns it: that is what
trusted keys are for.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from edgeleuk.errors import InputError, MissingExtraError, ModelAlteredError, ModelError, UsageError
from edgeleuk.models import registry
from edgeleuk.models.updates import _disk
from edgeleuk.models.updates.archive import Archive
from edgeleuk.models.updates.update import refusal
from edgeleuk.system import file_io, user_paths
from edgeleuk.system.wording import command, option

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

VARIABLE = "EDGELEUK_KEYS"
"""Environment variable for the folder of trusted keys."""
ALGORITHM = "ed25519"
MAX_KEY_BYTES = 10_000
_PRIVATE = b"PRIVATE KEY"


def folder() -> Path:
    """Return the folder of trusted keys.

    Each key is a PEM file. The folder is EDGELEUK_KEYS, else keys/ in the store.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return user_paths.expanded(named, VARIABLE, ModelError)
    return registry.store() / "keys"


def _locked() -> Path:
    """Return the folder to lock while keys are changed."""
    return folder() if os.environ.get(VARIABLE) else registry.store()


def fingerprint(key: bytes) -> str:
    """Return the fingerprint of a public key.

    The key has 32 bytes; the fingerprint is the first 16 digits of its SHA-256.
    """
    return hashlib.sha256(key).hexdigest()[:16]


def trusted() -> dict[str, bytes]:
    """Return the trusted keys by fingerprint.

    A key has 32 bytes.

    Raises:
        ModelError: A key cannot be read. To pass over it could mean to trust an archive that should be
            refused.
    """
    place = folder()
    try:
        paths = sorted(path for path in place.iterdir() if path.suffix == ".pem")
        texts = {path: file_io.read_bytes(path, MAX_KEY_BYTES) for path in paths}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ModelError(
            f"the trusted keys in {place} cannot be read: {error.strerror}. Mend its permissions, or {VARIABLE}."
        ) from error
    keys = [_public(text, path) for path, text in texts.items()]
    return {fingerprint(key): key for key in keys}


def trust(file: Path) -> str:
    """Trust the public key in a PEM file.

    Returns:
        Its fingerprint.

    Raises:
        InputError: The file holds no public key.
        OutputError: The key cannot be stored.
    """
    key = _public(_read(file), file)
    name = fingerprint(key)
    place = folder()
    with _disk.changing(_locked()):
        place.mkdir(parents=True, exist_ok=True)
        _disk.replace(place / f"{name}.pem", _pem(key), place)
    return name


def forget(name: str) -> None:
    """Remove a trusted key, given its fingerprint.

    Raises:
        UsageError: The key is not trusted.
    """
    keys, place = trusted(), folder()
    if name not in keys:
        raise UsageError(f"no key {name!r} is trusted. Trusted: {', '.join(keys) or 'none'}.")
    with _disk.changing(_locked()):
        for path in place.iterdir():
            if path.suffix == ".pem" and _public(_read(path), path) == keys[name]:
                path.unlink()
        file_io.sync_folder(place)


def signer(file: Path) -> Ed25519PrivateKey:
    """Load a private key from a PEM file.

    The file has no password.

    Raises:
        InputError: The file holds no such key.
    """
    library = _library()
    text = _read(file)
    try:
        key = library.serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError, library.UnsupportedAlgorithm) as error:
        raise InputError(
            f"{file} is no private key without password in PEM. Make one with"
            " `openssl genpkey -algorithm ed25519 -out FILE`."
        ) from error
    if not isinstance(key, library.Ed25519PrivateKey):
        raise InputError(f"{file} is a key of another kind than Ed25519. Make one with openssl genpkey.")
    return key


def sign(key: Ed25519PrivateKey, manifest: bytes) -> bytes:
    """Return `update.sig` for a manifest."""
    document = {
        "algorithm": ALGORITHM,
        "key": _raw(key.public_key()).hex(),
        "signature": key.sign(manifest).hex(),
    }
    return (json.dumps(document, indent=2) + "\n").encode()


def check_signature(archive: Archive, unsigned: bool = False) -> str | None:
    """Return the fingerprint of an archive's trusted signer.

    The result is None if no trusted signature was required.

    Raises:
        ModelAlteredError: The signature is wrong; always raised.
        ModelError: There are trusted keys, and the signature is by another key.
        UsageError: There are trusted keys and the archive is unsigned, unless `unsigned`.
        MissingExtraError: The archive is signed and the library is absent, unless `unsigned` and no key is
            trusted: without a network there may be no way to get it, and an archive without signature would
            have been taken.
    """
    keys = trusted()
    if archive.signature is None:
        if keys and not unsigned:
            raise UsageError(
                f"the model update is not signed, and keys are trusted on this machine ({', '.join(keys)})."
                f" Ask for a signed one, or give {option('unsigned')} if you know who made it."
            )
        return None
    try:
        key = _verified(archive.signature, archive.manifest)
    except MissingExtraError:
        if unsigned and not keys:
            return None
        raise
    name = fingerprint(key)
    if keys.get(name) == key:
        return name
    if keys:
        raise ModelError(
            f"the model update is signed with key {name}, and trusted are {', '.join(keys)}. Nothing was changed."
            f" Ask who signed it; `{command('models trust')} KEYFILE` takes their public key among the trusted ones."
        )
    return None


def _verified(signature: bytes, manifest: bytes) -> bytes:
    """Return the public key that verifies a signature."""
    library = _library()
    wrong = refusal("its signature is wrong", ModelAlteredError)
    try:
        document = file_io.parse_json(signature)
        algorithm, key, value = (document[name] for name in ("algorithm", "key", "signature"))
        raw = bytes.fromhex(key)
        if algorithm != ALGORITHM:
            raise wrong
        library.Ed25519PublicKey.from_public_bytes(raw).verify(bytes.fromhex(value), manifest)
    except (ValueError, KeyError, TypeError, RecursionError, library.InvalidSignature) as error:
        raise wrong from error
    return raw


def _public(text: bytes, origin: Path) -> bytes:
    """Return the 32 bytes of a public key in PEM."""
    library = _library()
    if _PRIVATE in text:
        raise InputError(
            f"{origin} is a private key, which must stay secret. Give the public one, as"
            f" `openssl pkey -in {origin.name} -pubout` prints it."
        )
    try:
        key = library.serialization.load_pem_public_key(text)
    except (ValueError, library.UnsupportedAlgorithm) as error:
        raise InputError(f"{origin} is no public key in PEM. Replace it, or take it away.") from error
    if not isinstance(key, library.Ed25519PublicKey):
        raise InputError(f"{origin} is a key of another kind than Ed25519. Replace it, or take it away.")
    return _raw(key)


def _raw(key: Ed25519PublicKey) -> bytes:
    """Return the 32 bytes of a public key.

    `public_bytes_raw` is avoided, because the library of Debian 12 (38) lacks it.
    """
    formats = _library().serialization
    return bytes(key.public_bytes(formats.Encoding.Raw, formats.PublicFormat.Raw))


def _pem(key: bytes) -> bytes:
    library = _library()
    return bytes(
        library.Ed25519PublicKey.from_public_bytes(key).public_bytes(
            library.serialization.Encoding.PEM, library.serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def _read(file: Path) -> bytes:
    try:
        return file_io.read_bytes(file, MAX_KEY_BYTES)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}. Check the path.") from error


class _Library:
    """The used parts of cryptography, imported on demand.

    They are imported when a key or a signature has to be examined.
    """

    def __init__(self) -> None:
        try:
            from cryptography import exceptions
            from cryptography.hazmat.primitives import serialization
            from cryptography.hazmat.primitives.asymmetric import ed25519
        except ImportError as error:
            raise MissingExtraError(
                "signatures need the library cryptography. Install it with `pip install 'edgeleuk[signing]'`,"
                " or on a Raspberry Pi `sudo apt install python3-cryptography`."
            ) from error
        self.serialization = serialization
        self.Ed25519PrivateKey, self.Ed25519PublicKey = ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey
        self.InvalidSignature, self.UnsupportedAlgorithm = (
            exceptions.InvalidSignature,
            exceptions.UnsupportedAlgorithm,
        )


def _library() -> _Library:
    return _Library()
