"""Exceptions of zipfile for malformed bytes."""

from __future__ import annotations

import zipfile

MALFORMED_ZIP: tuple[type[Exception], ...] = (
    zipfile.BadZipFile,
    EOFError,
    IndexError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""What zipfile raises for an archive in memory.

No OSError is the disk's, because the archive is in memory.
"""
