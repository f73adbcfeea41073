"""What commands that train need, and options that they share."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeleuk.errors import MissingExtraError

Device = Annotated[
    str, typer.Option("--device", help="Where to train: cpu, cuda, or another device of PyTorch's.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="Processor threads.", show_default="all cores")]


def need_torch() -> None:
    """Check that the extra `train` is installed.

    Raises:
        MissingExtraError: It is not.
    """
    try:
        import onnx  # noqa: F401  # only checked for here; the next imports use it
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "training needs PyTorch and onnx. Run: pip install 'edgeleuk[train]'."
        ) from error
