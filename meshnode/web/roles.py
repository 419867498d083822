"""Who may do what: three roles, each of which may all that those before it may."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["WebRole"]


class WebRole(IntEnum):
    """What a session or token may do; the greater may all that the lesser may."""

    NOBODY = 0
    """No session is needed."""
    READER = 1
    """Figures of health, positions and their exports: a program that watches."""
    AGENT = 2
    """All that the owner of this device does."""
    OPERATOR = 3
    """The work of the centre as well."""

    @property
    def word(self) -> str:
        """As people and programs write it."""
        return self.name.lower()
