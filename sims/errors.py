"""Errors that several rooms of the simulations raise, and that belong to none of them."""

from __future__ import annotations

from protocol.errors import MeshError

__all__ = ["CommandError", "ScenarioError"]


class ScenarioError(MeshError):
    """A scenario says what cannot be; `place` names where."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"scenario, {place}: {reason}")
        self.place = place
        self.reason = reason


class CommandError(MeshError):
    """A command line asks for what does not go together, or names what is not there."""
