"""Storage of sessions on the disk.

This package is the only importer of sqlite3.
"""

from edgeleuk.sessions.control_log import LoggedRecord
from edgeleuk.sessions.database import RESERVE_BYTES
from edgeleuk.sessions.facts import Change, Kind, NewSession, Note, SessionSummary, local_now
from edgeleuk.sessions.leases import Lease
from edgeleuk.sessions.operators import Operator, Operators
from edgeleuk.sessions.session import Session
from edgeleuk.sessions.store import Store, claim_source, default_path, open_store, require_resumable
from edgeleuk.sessions.trail import Entry, NewEntry, Trail

__all__ = [
    "RESERVE_BYTES",
    "Change",
    "Entry",
    "Kind",
    "Lease",
    "LoggedRecord",
    "NewEntry",
    "NewSession",
    "Note",
    "Operator",
    "Operators",
    "Session",
    "SessionSummary",
    "Store",
    "Trail",
    "claim_source",
    "default_path",
    "local_now",
    "open_store",
    "require_resumable",
]
