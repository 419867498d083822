"""What a bearer may cost: tariffs, billing steps, and how much of a budget is left.

Pure arithmetic on whole numbers. Each burst is billed in full steps, as satellite operators do;
a budget bounds bytes and euros of one period, and keeps a part of both for SOS.
Source: decision 33.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Final

__all__ = [
    "BUDGET_BYTES_MAX",
    "BUDGET_EUROS_MAX",
    "MICROEUROS",
    "NOTHING_SPENT",
    "Period",
    "Spent",
    "Tariff",
    "bearer_of",
    "pace_ms",
    "period_end_ms",
    "period_start_ms",
    "read_tariff",
    "steps_left",
    "steps_of",
    "with_steps",
]

MICROEUROS: Final = 1_000_000
"""Millionths in one euro: a byte of mobile data costs about a thousandth of one of these."""
BUDGET_BYTES_MAX: Final = 10**13
"""Ten terabytes: no bearer that is paid by the byte carries more in a month."""
BUDGET_EUROS_MAX: Final = 1_000_000
"""No device may spend more in one period."""
_STEP_BYTES_MAX: Final = 1_000_000
_NAME_MAX: Final = 64
_MS: Final = 1_000
_DAY_MS: Final = 86_400_000
_LONGEST_MONTH_DAYS: Final = 31
_EUROS: Final = re.compile(r"[0-9]{1,7}(\.[0-9]{1,6})?")


class Period(Enum):
    """After which a budget begins anew, by the clock of UTC."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Spent:
    """What was billed in one period."""

    billed_bytes: int = 0
    """Bytes, in full steps."""
    microeuros: int = 0
    """Millionths of a euro."""


NOTHING_SPENT: Final = Spent()
"""Of a period that has just begun."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """One bearer: how it is billed, and what it may cost."""

    name: str
    """A serial port such as `/dev/ttyUSB0`, or a network interface; a star stands for any end."""
    period: Period
    """After which the budget begins anew."""
    bytes_max: int
    """Billed bytes of one period, 1 to BUDGET_BYTES_MAX."""
    microeuros_max: int
    """Cost of one period."""
    step_bytes: int = 1
    """A burst is billed as a whole number of these."""
    step_microeuros: int = 0
    """Price of one step."""
    sos_bytes: int = 0
    """Billed bytes that are kept for SOS, and what these cost."""

    @property
    def is_serial(self) -> bool:
        """True for a serial port."""
        return self.name.startswith("/")

    def has(self, bearer: str) -> bool:
        """True if this is the tariff of a port or interface."""
        stem = self.name.removesuffix("*")
        return bearer == self.name or (stem != self.name and bearer.startswith(stem))


def bearer_of(tariffs: tuple[Tariff, ...], bearer: str) -> Tariff | None:
    """Return the first tariff that has a port or interface; None for one that costs nothing."""
    return next((each for each in tariffs if each.has(bearer)), None)


def steps_of(tariff: Tariff, burst_bytes: int) -> int:
    """Return in how many steps a burst is billed."""
    return -(-burst_bytes // tariff.step_bytes)


def steps_left(tariff: Tariff, spent: Spent, *, is_sos: bool) -> int:
    """Return how many more steps may be billed; what is kept for SOS counts for SOS alone."""
    kept = 0 if is_sos else steps_of(tariff, tariff.sos_bytes)
    steps = (tariff.bytes_max - spent.billed_bytes) // tariff.step_bytes
    if tariff.step_microeuros:
        paid = (tariff.microeuros_max - spent.microeuros) // tariff.step_microeuros
        steps = min(steps, paid)
    return max(0, steps - kept)


def with_steps(tariff: Tariff, spent: Spent, steps: int) -> Spent:
    """Return what is spent after `steps` more were billed, or given back where it is negative."""
    return Spent(
        max(0, spent.billed_bytes + steps * tariff.step_bytes),
        max(0, spent.microeuros + steps * tariff.step_microeuros),
    )


def period_start_ms(period: Period, now_ms: int) -> int:
    """Return when the period of `now_ms` began, Unix milliseconds; weeks begin on Mondays."""
    now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=now_ms)
    start = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if period is Period.WEEK:
        start -= timedelta(days=start.weekday())
    elif period is Period.MONTH:
        start = start.replace(day=1)
    return int(start.timestamp()) * _MS


def period_end_ms(period: Period, now_ms: int) -> int:
    """Return when the period after that of `now_ms` begins, Unix milliseconds."""
    start_ms = period_start_ms(period, now_ms)
    if period is Period.MONTH:
        return period_start_ms(period, start_ms + _LONGEST_MONTH_DAYS * _DAY_MS)
    return start_ms + (7 if period is Period.WEEK else 1) * _DAY_MS


def pace_ms(steps: int, left_steps: int, left_ms: int, most_ms: int) -> int:
    """Return how long to wait after a burst, so that a budget lasts to the end of its period.

    `steps` is what it was billed, `left_steps` what was left before it, `left_ms` the rest of the
    period. At most `most_ms`: what is so rare as to be of no use is not worth its money. Where
    nothing is left it is `most_ms`; for what costs nothing, 0.
    """
    if steps <= 0:
        return 0
    if left_steps <= 0:
        return most_ms
    return min(-(-left_ms * steps // left_steps), most_ms)


def read_tariff(text: str) -> Tariff:
    """Read `wwan0 per=month bytes=2000000000 euros=10 step=1000 price=0.00001 sos=1000000`.

    `per` and `bytes` must be there; without `euros` any cost within the bytes is allowed.
    Raises: ValueError that says what is wrong, for people.
    """
    name, *words = text.split()[:16] or [""]
    if not name or len(name) > _NAME_MAX or "=" in name or "*" in name[:-1]:
        raise ValueError(f"'{text}' begins with no port or interface, such as wwan0 or wwan*")
    found = {key: value for key, _, value in (word.partition("=") for word in words)}
    unknown = found.keys() - {"per", "bytes", "euros", "step", "price", "sos"}
    if unknown or len(found) != len(words):
        raise ValueError(f"'{text}' says something twice, or that is not known")
    if found.get("per") not in {each.value for each in Period}:
        raise ValueError(f"'{text}' needs per=day, per=week or per=month")
    step_bytes = _whole(text, found.get("step", "1"), 1, _STEP_BYTES_MAX)
    bytes_max = _whole(text, found.get("bytes", ""), step_bytes, BUDGET_BYTES_MAX)
    tariff = Tariff(
        name=name,
        period=Period(found["per"]),
        bytes_max=bytes_max,
        microeuros_max=_euros(text, found.get("euros", str(BUDGET_EUROS_MAX))),
        step_bytes=step_bytes,
        step_microeuros=_euros(text, found.get("price", "0")),
        sos_bytes=_whole(text, found.get("sos", "0"), 0, bytes_max),
    )
    if steps_left(tariff, NOTHING_SPENT, is_sos=True) < steps_of(tariff, tariff.sos_bytes):
        raise ValueError(f"'{text}' keeps more for SOS than the euros pay for")
    return tariff


def _whole(text: str, value: str, minimum: int, maximum: int) -> int:
    if value.isascii() and value.isdecimal() and len(value) <= 15:
        number = int(value)
        if minimum <= number <= maximum:
            return number
    raise ValueError(f"'{text}' needs whole numbers of bytes, from {minimum} to {maximum}")


def _euros(text: str, value: str) -> int:
    """Return millionths of a euro; finer prices are refused, since they would be rounded."""
    if _EUROS.fullmatch(value):
        amount = int(Decimal(value) * MICROEUROS)
        if amount <= BUDGET_EUROS_MAX * MICROEUROS:
            return amount
    raise ValueError(f"'{text}' needs euros such as 12.50, with six digits behind the point")
