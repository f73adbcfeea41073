"""Storage of sessions on the disk.

This package is the only importer of sqlite3.
"""

from edgeleuk.store.database import RESERVE_BYTES
from edgeleuk.store.facts import Change, Kind, NewSession, Note, SessionSummary, local_now
from edgeleuk.store.leases import Lease
from edgeleuk.store.session import Session
from edgeleuk.store.sessions import Store, claim_source, default_path, open_store, require_resumable

__all__ = [
    "RESERVE_BYTES",
    "Change",
    "Kind",
    "Lease",
    "NewSession",
    "Note",
    "Session",
    "SessionSummary",
    "Store",
    "claim_source",
    "default_path",
    "local_now",
    "open_store",
    "require_resumable",
]
