"""Models of a batch on other machines.

They are found by their hash, or shipped as bytes.
"""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgeleuk.errors import ModelAlteredError, ModelError
from edgeleuk.models import registry
from edgeleuk.models.registry import Model
from edgeleuk.results.slide_result import ModelIdentity
from edgeleuk.system import file_io

MANIFEST = "model.json"


@dataclass(frozen=True, slots=True)
class Shipment:
    """Files of a model, by name."""

    identity: ModelIdentity
    files: dict[str, bytes]

    @classmethod
    def of(cls, model: Model, identity: ModelIdentity) -> Shipment:
        """Read a model's files.

        Raises:
            ModelError: A file cannot be read.
        """
        files = {MANIFEST: registry.manifest_bytes(model.folder)}
        for path in model.files:
            try:
                name = path.relative_to(model.folder).as_posix()
                files[name] = file_io.read_bytes(path, registry.MOST_NETWORK_BYTES)
            except (OSError, ValueError) as error:
                raise ModelError(f"model file {path} cannot be read. Install the model again.") from error
        return cls(identity, files)

    @property
    def size(self) -> int:
        return sum(map(len, self.files.values()))


class ModelCache:
    """Model folders of a machine by the SHA-256 of their manifest."""

    def __init__(self) -> None:
        self._folders: dict[str, Path] = {}

    def folder(self, sha256: str) -> str:
        """Return the folder of a model; empty if it is not here.

        Whoever opens it verifies each file.
        """
        if sha256 not in self._folders:
            for path in registry.shipped().values():
                with suppress(ModelError):
                    self._folders.setdefault(_sha256(registry.manifest_bytes(path)), path)
        return str(self._folders.get(sha256, ""))

    def take(self, shipment: Shipment, scratch: str) -> str:
        """Keep a shipped model in a new folder, and return that.

        `scratch`: folder that is removed with the worker, as Dask does.

        Raises:
            ModelAlteredError: A file is not the one whose hash was announced.
            ModelError: The files are no model.
        """
        sha256 = shipment.identity.manifest_sha256
        if _sha256(shipment.files[MANIFEST]) != sha256:
            raise ModelAlteredError(
                "the manifest of the model was altered on its way. Start the batch again."
            )
        folder = Path(tempfile.mkdtemp(prefix="edgeleuk-model-", dir=scratch))
        for name, content in shipment.files.items():
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                raise ModelAlteredError(f"the model names a file outside of its folder: {name}.")
            path.parent.mkdir(parents=True, exist_ok=True)
            file_io.write_whole(path, content)
        registry.load_folder(folder)
        self._folders[sha256] = folder
        return str(folder)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
