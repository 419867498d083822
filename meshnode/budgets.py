"""Budgets of a node: its meters, what they book in the store, and whether an SOS may use its part.

Where the store fails nothing is allowed: what cannot be booked does not leave. Source: decision 33.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from meshnode.errors import StoreError
from meshnode.links.meter import Meter
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.store import spent
from meshnode.store.engine import Store
from protocol.budgets import (
    Spent,
    Tariff,
    bearer_of,
    period_end_ms,
    period_start_ms,
    steps_left,
)

__all__ = ["Account", "Budgets"]


@dataclass(frozen=True, slots=True)
class Account:
    """What one bearer has cost in the period of now, and what is left."""

    tariff: Tariff
    """How it is billed."""
    start_ms: int
    """When the period began, Unix milliseconds."""
    spent: Spent
    """Billed so far, with what meters hold ready."""
    left_bytes: int
    """Bytes that ordinary messages may still cost, in full steps."""
    left_sos_bytes: int
    """Bytes that an SOS may still cost, in full steps; never less."""


class Budgets:
    """The bank of all meters; made once the store is open."""

    def __init__(self, tariffs: Sequence[Tariff], store: Store, runtime: Runtime) -> None:
        self.tariffs = tuple(tariffs)
        self._store = store
        self._runtime = runtime
        self.metrics = Metrics()
        """Counters; those of the node once it is open."""
        self._meters = {each.name: Meter(each, self) for each in self.tariffs}
        self._is_sos_pressing = False
        self.on_sos: list[Callable[[], None]] = []
        """Called when an SOS begins to wait for a gateway."""

    def meter_of(self, bearer: str) -> Meter | None:
        """Return the meter of a serial port or a network interface; None for a free one."""
        tariff = bearer_of(self.tariffs, bearer)
        return None if tariff is None else self._meters[tariff.name]

    async def accounts(self) -> list[Account]:
        """Return what each bearer has cost in its present period. Raises: StoreError."""
        now_ms = self._runtime.now_ms()
        starts = [period_start_ms(each.period, now_ms) for each in self.tariffs]
        found = await self._store.read(
            lambda conn: [
                spent.spent_in(conn, each, start_ms)
                for each, start_ms in zip(self.tariffs, starts, strict=True)
            ]
        )
        return [
            Account(
                tariff=tariff,
                start_ms=start_ms,
                spent=cost,
                left_bytes=steps_left(tariff, cost, is_sos=False) * tariff.step_bytes,
                left_sos_bytes=steps_left(tariff, cost, is_sos=True) * tariff.step_bytes,
            )
            for tariff, start_ms, cost in zip(self.tariffs, starts, found, strict=True)
        ]

    # --- the bank of the meters -----------------------------------------------------------------

    def now_ms(self) -> int:
        """See `Bank.now_ms`."""
        return self._runtime.now_ms()

    async def book(
        self, tariff: Tariff, needed: int, wanted: int, *, is_sos: bool
    ) -> tuple[int, int]:
        """See `Bank.book`."""
        now_ms = self._runtime.now_ms()
        try:
            return await self._store.write(
                lambda tx: spent.book(tx, tariff, now_ms, needed, wanted, is_sos=is_sos)
            )
        except StoreError as error:
            self._runtime.trace("not_booked", bearer=tariff.name, reason=type(error).__name__)
            return period_start_ms(tariff.period, now_ms), 0

    async def give_back(self, tariff: Tariff, start_ms: int, steps: int) -> None:
        """See `Bank.give_back`; what cannot be written down counts as spent."""
        try:
            await self._store.write(lambda tx: spent.give_back(tx, tariff, start_ms, steps))
        except StoreError as error:
            self._runtime.trace("not_given_back", bearer=tariff.name, reason=type(error).__name__)

    async def left(self, tariff: Tariff) -> tuple[int, int]:
        """See `Bank.left`; nothing where the store fails."""
        now_ms = self._runtime.now_ms()
        start_ms = period_start_ms(tariff.period, now_ms)
        left_ms = period_end_ms(tariff.period, now_ms) - now_ms
        try:
            cost = await self._store.read(lambda conn: spent.spent_in(conn, tariff, start_ms))
        except StoreError as error:
            self._runtime.trace("not_read", bearer=tariff.name, reason=type(error).__name__)
            return 0, left_ms
        return steps_left(tariff, cost, is_sos=False), left_ms

    @property
    def is_sos_pressing(self) -> bool:
        """See `Bank.is_sos_pressing`."""
        return self._is_sos_pressing

    def press(self, *, is_pressing: bool) -> None:
        """Take note whether an SOS waits for a gateway."""
        was_pressing, self._is_sos_pressing = self._is_sos_pressing, is_pressing
        if is_pressing and not was_pressing:
            for tell in self.on_sos:
                tell()

    def refused(self, tariff: Tariff) -> None:
        """See `Bank.refused`."""
        self.metrics.count("budget_refusals")
        self._runtime.trace("budget_refused", bearer=tariff.name)
