"""Operators who may sign, with their PINs.

A store without operators is that of one person: anybody signs with a name. A PIN is kept as its scrypt hash
with a salt of its own. After WRONG_TRIES wrong ones in a row an operator is locked for a while, which grows
with each further one; the count is in the file, so that starting the program again does not reset it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from edgeleuk._text import readable
from edgeleuk.errors import UsageError
from edgeleuk.sessions.database import Database
from edgeleuk.sessions.session import now

COST = 2**14
"""Cost of scrypt, with blocks of 8: 16 MB and some 0.1 s on a Raspberry Pi."""
WRONG_TRIES = 5
"""Wrong PINs in a row before an operator is locked."""
FIRST_LOCK_S = 60
"""Seconds of the first lock.

Each further wrong PIN doubles them.
"""
LONGEST_LOCK_S = 3600
SHORTEST_PIN, LONGEST_PIN = 4, 64
LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Operator:
    """Person who may sign."""

    name: str
    added: str
    """Time, UTC, ISO 8601."""
    disabled: str | None = None
    """Time, UTC, ISO 8601; None while active."""
    locked_until: str | None = None
    """Time, UTC, ISO 8601; None if not locked after wrong PINs."""


class Operators:
    """Operators of a file of sessions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> tuple[Operator, ...]:
        """Return all operators, by name, disabled ones included."""
        return tuple(map(_operator, self._database.query("SELECT * FROM operators ORDER BY name")))

    def needed(self) -> bool:
        """Return whether a signature needs a PIN.

        That is whether any operator was ever added: disabling the last one does not open the store to all.
        """
        return bool(self._database.query("SELECT 1 FROM operators LIMIT 1"))

    def add(self, name: str, pin: str) -> Operator:
        """Add an operator, or give one a new PIN.

        A new PIN also enables the operator.

        Raises:
            UsageError: If the name is empty or too long, or the PIN too short or too long.
        """
        name = name_of(name)
        if not SHORTEST_PIN <= len(pin) <= LONGEST_PIN:
            raise UsageError(f"a PIN has {SHORTEST_PIN} to {LONGEST_PIN} characters. Choose another one.")
        salt = secrets.token_bytes(16)
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO operators (name, added, salt, hash, cost) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET salt = excluded.salt, hash = excluded.hash, cost = excluded.cost,"
                " disabled = NULL, wrong = 0, locked_until = NULL",
                (name, now(), salt, _hash(pin, salt, COST), COST),
            )
        return self._get(name)

    def disable(self, name: str) -> Operator:
        """Disable an operator.

        The signatures stay as they are.

        Raises:
            UsageError: If there is no such operator.
        """
        name = self._get(name_of(name)).name
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE operators SET disabled = COALESCE(disabled, ?) WHERE name = ?", (now(), name)
            )
        return self._get(name)

    def check(self, name: str, pin: str) -> Operator:
        """Check an operator's PIN.

        A try counts as wrong on the disk before the PIN is looked at, so that a process that is killed, or
        several at once, get no free ones.

        Raises:
            UsageError: If the name or the PIN is wrong, or the operator is disabled or locked for a while.
        """
        name = name_of(name)
        with self._database.transaction() as connection:
            found: sqlite3.Row | None = connection.execute(
                "SELECT * FROM operators WHERE name = ?", (name,)
            ).fetchone()
            if found:
                _require_unlocked(found)
                _count(connection, name, found["wrong"] + 1)
        # An unknown name takes as long as a known one.
        salt, expected, cost = (found["salt"], found["hash"], found["cost"]) if found else (b"", b"", COST)
        right = hmac.compare_digest(_hash(pin, salt, cost), expected)
        if not found or not right or found["disabled"]:
            raise UsageError("the name or the PIN is wrong, or the operator is disabled. Try again.")
        with self._database.transaction() as connection:
            _count(connection, name, 0)
        return self._get(name)

    def _get(self, name: str) -> Operator:
        for row in self._database.query("SELECT * FROM operators WHERE name = ?", (name,)):
            return _operator(row)
        names = ", ".join(each.name for each in self.list()) or "none"
        raise UsageError(f"no operator {name!r}. Operators here: {names}.")


def name_of(text: str) -> str:
    """Return the name of a person as it is kept.

    Raises:
        UsageError: If it is empty or too long.
    """
    name = " ".join(readable(text).split())
    if not name:
        raise UsageError("no name of the reviewer. Say who you are.")
    if len(name) > LONGEST_NAME:
        raise UsageError(f"a name has {LONGEST_NAME} characters at most. Give a shorter one.")
    return name


def _operator(row: sqlite3.Row) -> Operator:
    locked = row["locked_until"]
    return Operator(row["name"], row["added"], row["disabled"], locked if locked and locked > now() else None)


def _require_unlocked(row: sqlite3.Row) -> None:
    until = row["locked_until"]
    if until and until > now():
        left = datetime.fromisoformat(until) - datetime.now(UTC)
        # A clock that was set back must not lock anybody for longer than a lock lasts.
        if left <= timedelta(seconds=LONGEST_LOCK_S):
            minutes = max(1, round(left.total_seconds() / 60))
            raise UsageError(f"too many wrong PINs for {row['name']}. Wait {minutes} min, then try again.")


def _count(connection: sqlite3.Connection, name: str, wrong: int) -> None:
    """Keep the number of wrong tries in a row, and the lock."""
    until = None
    if wrong >= WRONG_TRIES:
        seconds = min(FIRST_LOCK_S * 2 ** min(wrong - WRONG_TRIES, 20), LONGEST_LOCK_S)
        until = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
    connection.execute(
        "UPDATE operators SET wrong = ?, locked_until = ? WHERE name = ?", (wrong, until, name)
    )


def _hash(pin: str, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(pin.encode("utf-8", "surrogatepass"), salt=salt, n=cost, r=8, p=1, maxmem=2**26)
