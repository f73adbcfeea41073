"""Suffixes of files, by what these hold."""

from __future__ import annotations

VIDEO_SUFFIXES = frozenset(
    {
        ".mp4",
        ".m4v",
        ".mov",
        ".avi",
        ".mkv",
        ".webm",
        ".mpg",
        ".mpeg",
        ".mjpeg",
        ".mjpg",
        ".h264",
        ".ts",
        ".3gp",
    }
)

SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".mpo", ".png", ".tif", ".tiff", ".bmp", ".dib", ".webp",
        ".heic", ".heif", ".hif",
    }
)  # fmt: skip
"""Suffixes of the picture formats that are read.

A file with another suffix, or with none, may be a picture too: its content decides.
"""

RAW_SUFFIXES = frozenset(
    {
        ".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".srf", ".sr2", ".orf", ".rw2", ".raf", ".pef", ".srw",
        ".3fr", ".iiq", ".x3f", ".rwl", ".kdc", ".dcr", ".mrw", ".erf",
    }
)  # fmt: skip
"""Suffixes of camera raw files.

Most are TIFFs whose first page is a small preview.
"""

SCAN_SUFFIXES = frozenset(
    {
        ".svs", ".ndpi", ".scn", ".bif", ".mrxs", ".czi", ".lif", ".lsm", ".nd2", ".vsi", ".vms", ".vmu", ".oib", ".oif",
        ".stk", ".ets", ".dcm",
    }
)  # fmt: skip
"""Suffixes of slide-scanner and microscope files.

Some are TIFFs with many sizes and channels.
"""

ARCHIVE_SUFFIXES = frozenset(
    {".zip", ".tar", ".tgz", ".gz", ".7z", ".rar", ".bz2", ".xz", ".zst", ".tbz2", ".txz", ".cab", ".iso"}
)

FORMAT_SUFFIXES = frozenset(
    {".gif", ".avif", ".jxl", ".jp2", ".j2k", ".psd", ".xcf", ".svg", ".ico", ".ppm", ".pgm", ".pnm", ".tga"}
)
"""Suffixes of picture formats that are not read."""

OFFICE_SUFFIXES = frozenset(
    {".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".epub", ".jar", ".apk", ".whl"}
)
"""Suffixes of archives that are documents or programs."""
