"""Model updates from a stick: archives, signatures, store."""

from edgeleuk.modelstore import signing
from edgeleuk.modelstore.archive import MAX_ARCHIVE_BYTES, Archive, pack, read
from edgeleuk.modelstore.installed import Installation, Version, install, remove, rollback, use, versions

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
