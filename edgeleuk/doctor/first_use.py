"""Trial run of unknown models before first use.

A trial runs in a process of its own, whose crash harms nothing. `models install` tries every model that it installs. A
folder named by `--model` or EDGELEUK_MODELS was tried by nobody: it is tried on first use, and remembered by its content,
so that a changed file is tried again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from edgeleuk import __version__
from edgeleuk.doctor.trial import PATIENCE_S, tried
from edgeleuk.errors import ModelError
from edgeleuk.models import registry
from edgeleuk.system import file_io, machine

REMEMBERED = "tried"
"""Folder in the model store that records tried models.

It holds an empty file for each of them, named by `_mark`.
"""


def require_tried(model: registry.Model, telling: Callable[[str], None] = lambda _: None) -> None:
    """Try an unknown model once, and remember that it works.

    Known models are those that came with the program, the installed ones, and those that this program tried on this
    machine. If nothing can be remembered, the model is tried each time. `telling` is called before a trial.

    Raises:
        ModelError: The model does not work.
    """
    content = registry.manifest_bytes(model.folder)  # names both networks by their hashes
    if _came_along(content) or _is_installed(model.folder):
        return
    mark = _mark(content)
    if mark and file_io.is_regular(mark):
        return
    telling(
        f"trying the {model.magnification} model in {model.folder} on the sample first, since it is not known here"
        f" ({PATIENCE_S:.0f} s at most)"
    )
    tried(model)
    if mark:
        _remember(mark)


def _came_along(content: bytes) -> bool:
    """Check whether a manifest equals, byte by byte, a shipped one."""
    for root in registry.own_roots():
        for path in file_io.listed(root, "*/model.json"):
            with suppress(ModelError):
                if registry.manifest_bytes(path.parent) == content:
                    return True
    return False


def _is_installed(folder: Path) -> bool:
    with suppress(ModelError, OSError, RuntimeError):
        return registry.store().resolve() in folder.resolve().parents
    return False


def _mark(content: bytes) -> Path | None:
    """Return the file that records a trial of this model.

    It is specific to the model, the versions of this program and onnxruntime, and the processor. None for a user without
    a home folder.
    """
    about = (
        hashlib.sha256(content).hexdigest(),
        __version__,
        metadata.version("onnxruntime"),
        machine.processor(),
    )
    try:
        return registry.store() / REMEMBERED / hashlib.sha256("\n".join(about).encode()).hexdigest()
    except ModelError:
        return None


def _remember(mark: Path) -> None:
    with suppress(OSError):
        mark.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
