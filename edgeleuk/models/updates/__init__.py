"""Model updates from a stick: archives, signatures, store."""

from edgeleuk.models.updates import signing
from edgeleuk.models.updates.archive import MAX_ARCHIVE_BYTES, Archive, pack, read
from edgeleuk.models.updates.installed import Installation, Version, install, remove, rollback, use, versions

__all__ = [
    "MAX_ARCHIVE_BYTES",
    "Archive",
    "Installation",
    "Version",
    "install",
    "pack",
    "read",
    "remove",
    "rollback",
    "signing",
    "use",
    "versions",
]
