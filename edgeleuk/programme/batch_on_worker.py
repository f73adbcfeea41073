"""Functions that a Dask worker runs for a batch.

The worker starts the same counting processes as the program does on one machine: a slide that ends its process does not
end the worker. The scheduler names these functions; only their arguments and results travel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from typing import Any

from distributed import Worker, get_worker

from edgeleuk import __version__
from edgeleuk.errors import EdgeleukError
from edgeleuk.programme.batch_answer import Answer
from edgeleuk.programme.batch_models import ModelCache, Shipment
from edgeleuk.programme.batch_process import Processes

LIBRARIES = ("numpy", "onnxruntime", "opencv-python-headless", "simplejpeg")
"""Libraries whose version may change the last digits of a result."""

_processes = Processes()
_models = ModelCache()


def count(slide: Mapping[str, Any], settings: bytes, model: str, shared: bool, version: str) -> Answer:
    """Count a slide in a process of this worker.

    Args:
        slide: The slide as JSON has it.
        settings: Packed settings of the batch.
        model: SHA-256 of the manifest of their model.
        shared: Whether an absent path is this worker's fault.
        version: Version of edgeleuk that counts the batch.
    """
    return replace(_counted(slide, settings, model, shared, version), worker=get_worker().address)


def _counted(slide: Mapping[str, Any], settings: bytes, model: str, shared: bool, version: str) -> Answer:
    if version != __version__:
        return Answer("unfit", text=mismatch(__version__, version))
    folder = _models.folder(model)
    if not folder:
        return Answer("lacks")
    return _processes.count(slide, settings, folder, shared=shared)


def about(model: str) -> dict[str, Any]:
    """Return the versions of this worker, and whether it has a model."""
    return {"edgeleuk": __version__, "libraries": libraries(), "has": bool(_models.folder(model))}


def take(shipment: Shipment, dask_worker: Worker) -> str:
    """Keep a model; return why it cannot be kept.

    The text is empty if it is kept. Dask fills in `dask_worker`.
    """
    try:
        _models.take(shipment, dask_worker.local_directory)
    except (EdgeleukError, OSError) as error:
        return str(error)
    return ""


def release() -> None:
    """End the counting processes of this worker."""
    _processes.close()


def libraries() -> dict[str, str]:
    """Return the versions of the libraries here."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # another build, as opencv-python
            found[name] = ""
    return found


def mismatch(theirs: str, ours: str) -> str:
    """Return in a clause that a worker has another edgeleuk."""
    return f"has edgeleuk {theirs}, and this batch is counted by {ours}: install the same version there"
