"""Operators who may sign, with their PINs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Operator:
    """Person who may sign."""

    name: str
    added: str
    """Time, UTC, ISO 8601."""
    disabled: str | None = None
    """Time, UTC, ISO 8601; None while active."""


class Operators:
    """Operators of a store; `Store.operators`."""

    def list(self) -> tuple[Operator, ...]:
        """Return all operators, by name."""
        raise NotImplementedError

    def add(self, name: str, pin: str) -> Operator:
        """Add an operator, or give one a new PIN and enable it."""
        raise NotImplementedError

    def disable(self, name: str) -> Operator:
        """Disable an operator; the signatures stay."""
        raise NotImplementedError

    def check(self, name: str, pin: str) -> Operator:
        """Check an operator's PIN.

        Raises:
            UsageError: If the name or the PIN is wrong, or the operator is disabled.
            LockedError: After wrong tries, for a while.
        """
        raise NotImplementedError
