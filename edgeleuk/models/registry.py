"""Finding, verifying and loading of model folders.

A model folder is `models/<magnification>/model.json`. The models that ship are in the package. Others may be
installed side by side in the store (`models.updates` writes it); one of them that is in use takes precedence, as
long as every byte of it is as it was installed.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeleuk.errors import ModelAlteredError, ModelError, ModelMissingError, UsageError
from edgeleuk.models._values import inside, text
from edgeleuk.models.manifest import FinderManifest, ReaderManifest, finder_manifest, reader_manifest
from edgeleuk.system import file_io, user_paths
from edgeleuk.system.wording import command, option

SCHEMA = 1
"""Version of model.json that this program reads."""

MAGNIFICATIONS = ("10x", "40x", "100x")

STORE_VARIABLE = "EDGELEUK_MODEL_STORE"
"""Environment variable with the folder of installed models."""

MOST_NETWORK_BYTES = 256_000_000
"""Maximum size of a network, bytes.

Thirty times the largest of this project: a small computer's memory holds it.
"""

SHOWN = 300
"""Maximum characters of a manifest's fault in a message."""

BUILTIN = "builtin"
"""Version name of the model that ships with the program."""

UPDATE = "update.json"
"""File with the SHA-256 of an installed model's files.

It is in the model's folder; the hashes are those of the archive.
"""


@dataclass(frozen=True, slots=True)
class Model:
    """Finder and reader of one magnification."""

    magnification: str
    folder: Path
    version: str
    finder: FinderManifest
    reader: ReaderManifest
    lineage: tuple[Mapping[str, Any], ...] = ()
    """Models it was derived from, its parent first.

    See `derive`. Empty for a model that was trained as it is.
    """
    real_slides: Mapping[str, Any] | None = None
    """Results on slides really taken through its objective.

    None where not measured.
    """

    @property
    def files(self) -> dict[Path, str]:
        """SHA-256 of the network files, by path.

        Includes the reader's head, guard cells and known cells where it has such files.
        """
        known = self.reader.known.file if self.reader.known else None
        parts = (self.finder, self.reader, self.reader.head, self.reader.guard, known)
        return {part.path: part.sha256 for part in parts if part}

    def verify(self) -> None:
        """Verify that all files are as published.

        Raises:
            ModelMissingError: A file cannot be read.
            ModelAlteredError: A file has another SHA-256.
        """
        for path, sha256 in self.files.items():
            verify(path, sha256)


def roots() -> list[Path]:
    """Return the folders that may hold models, highest priority first.

    EDGELEUK_MODELS if it is set; otherwise the package's own, then the checkout's.
    """
    if named := os.environ.get("EDGELEUK_MODELS"):
        return [user_paths.expanded(named, "EDGELEUK_MODELS", ModelError)]
    return own_roots()


def own_roots() -> list[Path]:
    """Return the folders of models that ship with the program."""
    package = Path(__file__).parents[1]
    return [package / "_models", package.parent / "models"]


def shipped() -> dict[str, Path]:
    """Return model folders in `roots()` by magnification.

    Weakest objective first.
    """
    found: dict[str, Path] = {}
    for root in roots():
        for manifest in file_io.listed(root, "*/model.json"):
            if re.fullmatch(r"[0-9]+x", manifest.parent.name):
                found.setdefault(manifest.parent.name, manifest.parent)
    return _weakest_first(found)


def available() -> dict[str, Path]:
    """Return the model folders that `load` reads, by magnification.

    Weakest objective first.
    """
    found = shipped()
    for magnification in MAGNIFICATIONS:
        with suppress(ModelError):  # `load` reports what is wrong
            if model := in_use(magnification):
                found[magnification] = model.folder
    return _weakest_first(found)


def _weakest_first(found: dict[str, Path]) -> dict[str, Path]:
    return dict(sorted(found.items(), key=lambda item: int(item[0].removesuffix("x"))))


def load(magnification: str) -> Model:
    """Load the verified model of a magnification such as "100x".

    "100" and "100X" are accepted too. An installed model that is in use but fails verification is replaced by
    the one that ships; that is logged as a warning, which the standard error shows.

    Raises:
        UsageError: The magnification is unknown.
        ModelMissingError: There is no model of it.
        ModelError: The model cannot be used.
    """
    wanted = _magnification(magnification)
    ours = shipped()
    try:
        if wanted in MAGNIFICATIONS and (installed := in_use(wanted)):
            return installed
    except ModelError as error:
        if wanted not in ours:
            raise
        logging.getLogger(__name__).warning(
            "warning: the installed %s model cannot be used, and the one that came with the program is used instead: %s",
            wanted,
            error,
        )
    names = ", ".join(ours) or "none"
    if wanted not in ours:
        if wanted not in MAGNIFICATIONS:
            raise UsageError(
                f"unknown magnification {magnification!r}. Known: {', '.join(MAGNIFICATIONS)}; "
                f"models here: {names}. Use one of these with {option('mag')}."
            )
        where = " or ".join(str(root) for root in roots())
        hint = (
            f"Use {option('mag')} {next(reversed(ours))}, or add" if ours else "Set EDGELEUK_MODELS, or add"
        )
        raise ModelMissingError(f"no {wanted} model. Models here: {names}. {hint} {wanted}/ to {where}.")
    return _trusted(ours[wanted], wanted)


def same_objective(one: str, other: str) -> bool:
    """Return whether two names are of one magnification.

    "40", "40x" and "40X" are.
    """
    return _magnification(one) == _magnification(other)


def _magnification(name: str) -> str:
    return f"{name.lower().strip().removesuffix('x')}x"


def load_folder(folder: Path) -> Model:
    """Load and verify the model in any folder.

    Raises:
        ModelError: The model cannot be used, or a more specific child of it.
    """
    if not file_io.is_regular(folder / "model.json"):
        raise ModelMissingError(
            f"no model in {folder}: it has no model.json. Name a model folder, which holds that and the networks."
        )
    model = read_manifest(folder)
    model.verify()
    return model


def _trusted(folder: Path, magnification: str) -> Model:
    model = read_manifest(folder)
    if model.magnification != magnification:
        raise ModelError(
            f"{model.folder} holds a {model.magnification} model, which would misjudge every size. "
            "Name the folder as its model, or install the package again."
        )
    model.verify()
    return model


def store() -> Path:
    """Return the folder of installed models.

    It is the value of EDGELEUK_MODEL_STORE, else edgeleuk/models under $XDG_DATA_HOME or ~/.local/share.
    `<store>/<magnification>/<version>/` is a model folder with its `update.json`;
    `<store>/<magnification>.json` says which version is in use.

    Raises:
        ModelError: The user has no home folder.
    """
    homeless = ModelError(
        f"this user has no home folder to keep models in. Name a folder in {STORE_VARIABLE}."
    )
    return user_paths.users("models", "data", STORE_VARIABLE, homeless)


def used(magnification: str) -> tuple[str, ...]:
    """Return a model's versions by use, the one in use first.

    At least `BUILTIN`.

    Raises:
        ModelError: The file that says so cannot be read.
    """
    path = store() / f"{magnification}.json"
    try:
        document = file_io.read_json(path)
        return tuple(text(name) for name in (document["in_use"], *document["before"]))
    except (FileNotFoundError, NotADirectoryError):
        return (BUILTIN,)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} should say which {magnification} model is in use and cannot be read ({error})."
            f" `{command('models use')} {magnification} {BUILTIN}`, or another version, writes it anew."
        ) from error


def in_use(magnification: str) -> Model | None:
    """Return the installed model in use, verified.

    None where it is the one that ships, or EDGELEUK_MODELS names others.

    Raises:
        ModelError: As in `installed`.
    """
    if os.environ.get("EDGELEUK_MODELS"):
        return None
    try:
        place = store()
    except ModelError:  # without a home nothing can have been installed
        return None
    version = used(magnification)[0]
    return None if version == BUILTIN else installed(place / magnification / version, magnification)


def installed(folder: Path, magnification: str) -> Model:
    """Load an installed model with every file verified.

    Raises:
        ModelError: The model cannot be used, or a more specific child of it.
    """
    path = folder / UPDATE
    try:
        for name, entry in file_io.read_json(path)["files"].items():
            verify(inside(folder, name), text(entry["sha256"]))
    except FileNotFoundError as error:
        raise ModelMissingError(f"no model is installed in {folder}. Install it again.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelAlteredError(
            f"{path} cannot be read ({error}). Install the model again; what lies there cannot be trusted."
        ) from error
    return _trusted(folder, magnification)


def read_manifest(folder: Path) -> Model:
    """Read and check a model folder's manifest.

    Values that the runtime needs are checked; files are not yet verified.

    Raises:
        ModelMissingError: There is no manifest.
        ModelError: It cannot be read, or is malformed.
    """
    path = folder / "model.json"
    try:
        document = file_io.read_json(path)
    except FileNotFoundError as error:
        raise ModelMissingError(
            f"{folder} has no model.json. Publish a model there, or install the package again."
        ) from error
    except (OSError, file_io.UnreadableError) as error:
        raise ModelError(
            f"cannot read {path}: {file_io.plain(error)}. Install the model again, or name another folder."
        ) from error
    try:
        if document["schema"] != SCHEMA:
            raise ModelError(
                f"{path} has schema {repr(str(document['schema'])[:60])[1:-1]}; this program reads {SCHEMA}. Update edgeleuk or the model."
            )
        return Model(
            magnification=text(document["magnification"]),
            folder=folder,
            version=text(document["version"]),
            finder=finder_manifest(folder, document["finder"]),
            reader=reader_manifest(folder, document["reader"]),
            lineage=_lineage(document.get("lineage", [])),
            real_slides=document.get("real_slides"),
        )
    except KeyError as error:
        raise ModelError(
            f"{path} lacks {str(error)[:60]}. Compare it with `{command('schema')} model`."
        ) from error
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelError(
            f"{path} is not a model manifest: {_shortened(error)}. Compare it with `{command('schema')} model`."
        ) from error


def _shortened(error: Exception) -> str:
    """Return an error's text, cut in the middle if long."""
    text = str(error)
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]} ... {text[-SHOWN // 2 :]}"


def manifest_bytes(folder: Path) -> bytes:
    """Return the bytes of a model folder's manifest.

    Raises:
        ModelError: It is gone.
    """
    path = folder / "model.json"
    try:
        return file_io.read_bytes(path)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}. Install the model again.") from error


def _lineage(value: Any) -> tuple[Mapping[str, Any], ...]:
    """Check that each step names the model it started from."""
    for step in value:
        for name in ("magnification", "version", "reason", "data", "at"):
            text(step[name])
    return tuple(value)


def verify(path: Path, sha256: str) -> None:
    """Verify that a file has the given SHA-256.

    Raises:
        ModelMissingError: It cannot be read.
        ModelAlteredError: It has another SHA-256.
    """
    try:
        digest = file_io.sha256_of(path, MOST_NETWORK_BYTES)
    except OSError as error:
        raise ModelMissingError(
            f"model file {path} cannot be read: {error.strerror}. Install the model again."
        ) from error
    if digest != sha256:
        raise ModelAlteredError(
            f"model file {path} is not the one published (SHA-256 {digest[:12]}..., expected {sha256[:12]}...). "
            "Install the model again; its results cannot be trusted."
        )
