"""Signatures: a key's own are taken, others are refused, and no key is trusted that the user did not name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import packed
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeleuk.errors import InputError, MissingExtraError, ModelAlteredError, ModelError, UsageError
from edgeleuk.models import registry, updates
from edgeleuk.models.updates import signing

pytest.importorskip("cryptography", reason="the extra `signing` is not installed")

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519


def willing(_: registry.Model) -> None:
    """The networks of small models are not opened."""


def pem(key: object, *, public: bool) -> bytes:
    encoding = serialization.Encoding.PEM
    if public:
        return key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    return key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With an empty store, and the keys of Ada and of Mallory."""
    monkeypatch.setenv("EDGELEUK_MODEL_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("EDGELEUK_KEYS", raising=False)
    for name, seed in (("ada", b"a" * 32), ("mallory", b"m" * 32)):
        key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        (tmp_path / f"{name}.key").write_bytes(pem(key, public=False))
        (tmp_path / f"{name}.pem").write_bytes(pem(key, public=True))
    return tmp_path


def signed(place: Path, name: str, version: str = "2.0") -> bytes:
    """The archive of a small model, signed."""
    folder = place / f"{name}-{version}"
    model = registry.read_manifest(folder) if folder.exists() else packed.folder(folder, version)
    key = signing.signer(place / f"{name}.key")
    return updates.pack(model, lambda manifest: signing.sign(key, manifest))


def install(data: bytes, *, unsigned: bool = False) -> updates.Installation:
    return updates.install(data, willing, unsigned=unsigned)


def test_a_model_signed_with_a_trusted_key_is_installed(place: Path) -> None:
    """And it is known whose signature that was."""
    name = signing.trust(place / "ada.pem")
    done = install(signed(place, "ada"))
    assert (done.key, done.signed) == (name, True)
    assert updates.versions("100x")[0].signed


def test_once_a_key_is_trusted_no_other_is_enough(place: Path) -> None:
    """An unsigned model needs a word of the user; one that somebody else signed is refused also then."""
    ada = signing.trust(place / "ada.pem")
    before = packed.tree(place / "store")
    with pytest.raises(UsageError, match=rf"not signed, and keys are trusted .*{ada}.*--unsigned"):
        install(packed.archive())
    foreign = signed(place, "mallory")
    for unsigned in (False, True):
        with pytest.raises(ModelError, match=rf"signed with key [0-9a-f]{{16}}, and trusted are {ada}"):
            install(foreign, unsigned=unsigned)
    assert packed.tree(place / "store") == before
    assert install(packed.archive(), unsigned=True).key is None


def test_without_a_trusted_key_a_right_signature_is_no_hindrance(place: Path) -> None:
    """It proves nothing then, and nothing is said to vouch for the model."""
    done = install(signed(place, "ada"))
    assert (done.key, done.signed) == (None, True)


def test_a_signature_of_another_model_is_wrong(place: Path) -> None:
    """A signature belongs to one manifest, which names every file with its SHA-256."""
    right, other = updates.read(signed(place, "ada")), updates.read(signed(place, "ada", "2.1"))
    data = packed.zipped(
        [("update.json", right.manifest), ("update.sig", other.signature), *right.files.items()]
    )
    with pytest.raises(ModelAlteredError, match="its signature is wrong"):
        install(data, unsigned=True)


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 63), bit=st.integers(0, 7), field=st.sampled_from(["key", "signature"]))
def test_a_signature_with_any_bit_changed_is_wrong(at: int, bit: int, field: str) -> None:
    """In the key or in the signature itself."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(b"a" * 32)
    document = json.loads(signing.sign(key, b"manifest"))
    raw = bytearray.fromhex(document[field])
    raw[at % len(raw)] ^= 1 << bit
    document[field] = raw.hex()
    with pytest.raises(ModelAlteredError, match="its signature is wrong"):
        signing._verified(json.dumps(document).encode(), b"manifest")


@pytest.mark.parametrize(
    "change",
    [
        {"algorithm": "none"},
        {"algorithm": None},
        {"key": ""},
        {"key": "zz"},
        {"key": 5},
        {"signature": ""},
        {"signature": None},
        {"signature": "00" * 64},
    ],
)
def test_a_malformed_signature_is_wrong(change: packed.Document) -> None:
    """Whatever is amiss in it."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(b"a" * 32)
    document = json.loads(signing.sign(key, b"manifest")) | change
    with pytest.raises(ModelAlteredError, match="its signature is wrong"):
        signing._verified(json.dumps(document).encode(), b"manifest")


def test_what_openssl_makes_is_understood(place: Path) -> None:
    """Its keys are taken, and it agrees with the signature."""
    if not (made := _openssl("genpkey", "-algorithm", "ed25519")):
        pytest.skip("openssl is not installed")
    (place / "open.key").write_bytes(made)
    (place / "open.pem").write_bytes(_openssl("pkey", "-in", place / "open.key", "-pubout"))
    name = signing.trust(place / "open.pem")
    assert install(signed(place, "open")).key == name


def _openssl(*arguments: object) -> bytes:
    try:
        return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=True).stdout
    except FileNotFoundError:
        return b""


def test_a_key_is_forgotten(place: Path) -> None:
    """Its signatures then prove nothing; a key that is not trusted cannot be forgotten."""
    ada, mallory = signing.trust(place / "ada.pem"), signing.trust(place / "mallory.pem")
    assert signing.trusted().keys() == {ada, mallory}
    signing.forget(ada)
    assert signing.trusted().keys() == {mallory}
    with pytest.raises(UsageError, match=f"no key '{ada}' is trusted. Trusted: {mallory}"):
        signing.forget(ada)


def test_keys_may_lie_in_a_folder_of_their_own(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in one that only the administrator of the machine can change."""
    monkeypatch.setenv("EDGELEUK_KEYS", str(place / "keys"))
    name = signing.trust(place / "ada.pem")
    assert [path.name for path in (place / "keys").iterdir()] == [f"{name}.pem"]
    assert not (place / "store").exists()


def test_a_private_key_is_not_taken_among_the_trusted_ones(place: Path) -> None:
    """It would lie about where anybody could read it."""
    with pytest.raises(InputError, match="is a private key, which must stay secret"):
        signing.trust(place / "ada.key")


def test_other_keys_and_other_files_are_told_apart(place: Path) -> None:
    """Each with what to do."""
    other = ec.generate_private_key(ec.SECP256R1())
    (place / "ec.key").write_bytes(pem(other, public=False))
    (place / "ec.pem").write_bytes(pem(other, public=True))
    (place / "text.pem").write_text("no key")
    for read, name, words in (
        (signing.trust, "ec.pem", "of another kind than Ed25519"),
        (signing.trust, "text.pem", "no public key in PEM"),
        (signing.trust, "gone.pem", "cannot read"),
        (signing.signer, "ec.key", "of another kind than Ed25519"),
        (signing.signer, "text.pem", "no private key without password"),
    ):
        with pytest.raises(InputError, match=words):
            read(place / name)


def test_a_trusted_key_that_cannot_be_read_stops_installations(place: Path) -> None:
    """To pass over it could mean to take what it would have refused."""
    name = signing.trust(place / "ada.pem")
    (place / "store" / "keys" / f"{name}.pem").write_text("damaged")
    with pytest.raises(InputError, match="no public key in PEM"):
        install(packed.archive())


def test_without_the_library_signed_models_need_a_word_of_the_user(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remedy is named; where no key is trusted, --unsigned takes the model as an unsigned one."""
    data = signed(place, "ada")
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(MissingExtraError, match=r"edgeleuk\[signing\].*apt install python3-cryptography"):
        install(data)
    assert install(packed.archive("2.2")).version == "2.2"
    assert install(data, unsigned=True).key is None
