"""What the radio of a simulated device may cost. Source: decision 33."""

from __future__ import annotations

from typing import Final

from protocol.budgets import Tariff, read_tariff

__all__ = ["RADIO", "tariff_of"]

RADIO: Final = "/dev/radio"
"""The port at which a device has its radio."""


def tariff_of(budget: str) -> Tariff | None:
    """Return what a `radio_budget` says; None where it is free, or written wrong."""
    if not budget:
        return None
    try:
        return read_tariff(f"{RADIO} {budget}")
    except ValueError:
        return None
