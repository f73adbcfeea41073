"""Models that came on a stick: archives of them, who signed these, and the store they are installed in."""

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
