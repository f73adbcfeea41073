"""What commands that train need."""

from __future__ import annotations

from edgeleuk.errors import MissingExtraError


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
