"""Sessions on the disk; the only importer of sqlite3."""

from edgeleuk.store.database import RESERVE_BYTES
from edgeleuk.store.leases import Lease
from edgeleuk.store.session import Note, Session, SessionSummary
from edgeleuk.store.sessions import Store, claim_source, default_path, open_store

__all__ = [
    "RESERVE_BYTES",
    "Lease",
    "Note",
    "Session",
    "SessionSummary",
    "Store",
    "claim_source",
    "default_path",
    "open_store",
]
