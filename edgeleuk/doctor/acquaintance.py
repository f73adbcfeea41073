"""A model from elsewhere is put to work once, in a process that can be spared, before a command opens it.

`models install` tries every model that it installs. A folder that `--model` or EDGELEUK_MODELS names was tried by nobody:
it is tried when it is first met, and remembered by what it consists of, so that a changed file is met anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from edgeleuk import __version__, _files, machine, zoo
from edgeleuk.doctor.trial import PATIENCE_S, tried
from edgeleuk.errors import ModelError

REMEMBERED = "tried"
"""Folder in the store of models: an empty file for each model that was tried, named by `_name`."""


def require_tried(model: zoo.Model, telling: Callable[[str], None] = lambda _: None) -> None:
    """Try a model that is not known here, and remember that it works. Raises ModelError where it does not.

    `telling` hears that it is tried. Known are the models that came with the program, the installed ones, and those that
    this program tried on this machine. Where nothing can be remembered, it is tried each time.
    """
    content = zoo.manifest_bytes(model.folder)  # names both networks by their hashes
    if _came_along(content) or _is_installed(model.folder):
        return
    mark = _mark(content)
    if mark and _files.is_regular(mark):
        return
    telling(
        f"trying the {model.magnification} model in {model.folder} on the sample first, since it is not known here"
        f" ({PATIENCE_S:.0f} s at most)"
    )
    tried(model)
    if mark:
        _remember(mark)


def _came_along(content: bytes) -> bool:
    """Whether it is, byte by byte, a model of this package."""
    for root in zoo.own_roots():
        for path in _files.listed(root, "*/model.json"):
            with suppress(ModelError):
                if zoo.manifest_bytes(path.parent) == content:
                    return True
    return False


def _is_installed(folder: Path) -> bool:
    with suppress(ModelError, OSError, RuntimeError):
        return zoo.store().resolve() in folder.resolve().parents
    return False


def _mark(content: bytes) -> Path | None:
    """The file that says that it was tried, here and by this program; None for a user without home."""
    about = (
        hashlib.sha256(content).hexdigest(),
        __version__,
        metadata.version("onnxruntime"),
        machine.processor(),
    )
    try:
        return zoo.store() / REMEMBERED / hashlib.sha256("\n".join(about).encode()).hexdigest()
    except ModelError:
        return None


def _remember(mark: Path) -> None:
    with suppress(OSError):
        mark.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
