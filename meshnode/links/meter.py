"""Meters: what crosses a bearer that costs money is paid before it crosses.

A meter takes a few steps from the store at a time and pays bursts out of them, so that most bursts
need no transaction; what a crash loses was booked and never used. A link is opened for everything,
or for SOS alone, where nothing else is left; it stays so to its end. Source: decision 33.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import trio

from meshnode.errors import BudgetError
from protocol.budgets import (
    NOTHING_SPENT,
    Tariff,
    pace_ms,
    period_start_ms,
    steps_left,
    steps_of,
)
from protocol.narrow.bounds import NARROW_FRAME_BYTES_MAX, WINDOW_FRAMES

__all__ = ["Bank", "Bursts", "Fare", "Frames", "Meter", "MeteredStream", "Packets", "Unpaid"]

_ADVANCE_PARTS: Final = 500
"""A crash loses at most this part of a budget, or what one burst needs."""
_ADVANCE_BYTES_MAX: Final = 65_536
_PACKET_BYTES: Final = 1_200
"""What one packet is taken to carry; most carry 1,400."""
_PACKET_OVERHEAD_BYTES: Final = 160
"""Headers of a packet and of its acknowledgement over IPv6, with room for one in two of the
acknowledgements alone."""
_WORTH_BYTES: Final = 12_000
"""Both halves of a TLS handshake, the badges, and a text: less is no use."""
_OPENING_BYTES: Final = 1_500
"""Packets that open and close a TCP connection, and the knock."""
_READ_BYTES: Final = 16_384
_LINE_READ_BYTES: Final = 16
"""Little, since each of them may be the end of a frame, and all that is ready counts as spent."""
_FLAG: Final = 0xC0
_FRAME_BYTES_MIN: Final = 4
"""A KISS frame: two flags, a command and a byte."""
_ACK_BYTES: Final = 25
"""A KISS frame that acknowledges and says nothing else, most of its bytes escaped."""


class Unpaid(trio.BrokenResourceError):
    """The budget does not allow this burst, so the stream is over."""


class Bank(Protocol):
    """Where a meter books: the store of the node."""

    def now_ms(self) -> int:
        """Return the time, Unix milliseconds."""
        ...

    async def book(
        self, tariff: Tariff, needed: int, wanted: int, *, is_sos: bool
    ) -> tuple[int, int]:
        """Book steps durably; return when the period began, and how many: none, or `needed` up."""
        ...

    async def give_back(self, tariff: Tariff, start_ms: int, steps: int) -> None:
        """Take back steps that were booked and not used."""
        ...

    async def left(self, tariff: Tariff) -> tuple[int, int]:
        """Return the steps that are not booked, but for SOS, and the rest of the period, ms."""
        ...

    @property
    def is_sos_pressing(self) -> bool:
        """True while an SOS waits for a gateway."""
        ...

    def refused(self, tariff: Tariff) -> None:
        """Something was refused for want of money."""
        ...


class Meter:
    """One bearer. Any number of streams may pay at once."""

    def __init__(self, tariff: Tariff, bank: Bank) -> None:
        self.tariff = tariff
        self.bank = bank
        self._turn = trio.Lock()
        self._purse = 0
        self._start_ms = -1
        self._streams = 0
        total = steps_left(tariff, NOTHING_SPENT, is_sos=True)
        self._advance = max(1, min(total // _ADVANCE_PARTS, steps_of(tariff, _ADVANCE_BYTES_MAX)))

    async def open(self, steps: int, worth: int = 0) -> Fare:
        """Pay for opening a link. Raises: BudgetError where not even an SOS may use this bearer.

        `worth` is what it must be able to pay beside, or it would end before it did any good; an
        SOS tries with less.
        """
        for is_sos in (False, True):
            try:
                await self.pay(steps, is_sos=is_sos, ready=int(not steps) if is_sos else worth)
            except Unpaid:
                continue
            self._streams += 1
            return Fare(self, is_sos=is_sos)
        self.bank.refused(self.tariff)
        raise BudgetError(self.tariff.name)

    async def pay(self, steps: int, *, is_sos: bool, ready: int = 0) -> int:
        """Pay steps, booked durably on return; return the start of their period.

        `ready` more are in the purse then. `is_sos` lets them come out of what is kept for SOS,
        while one is pressing.
        Raises: Unpaid, StoreError; nothing was paid then.
        """
        async with self._turn:
            self._look_at_clock()
            while self._purse < steps + ready:
                needed = steps + ready - self._purse
                start_ms, got = await self.bank.book(
                    self.tariff,
                    needed,
                    max(needed, self._advance),
                    is_sos=is_sos and self.bank.is_sos_pressing,
                )
                if not got:
                    raise Unpaid(f"the budget of {self.tariff.name} is used up")
                if start_ms != self._start_ms:
                    self._purse, self._start_ms = 0, start_ms
                self._purse += got
            self._purse -= steps
            return self._start_ms

    async def pace_ms(self, bursts: Sequence[int], most_ms: int) -> int:
        """Return how long to wait after bursts of so many bytes; see `protocol.budgets.pace_ms`."""
        steps = sum(steps_of(self.tariff, each) for each in bursts)
        left_steps, left_ms = await self.bank.left(self.tariff)
        self._look_at_clock()
        return pace_ms(steps, left_steps + self._purse, left_ms, most_ms)

    def _look_at_clock(self) -> None:
        """What was booked in one period pays nothing of the next."""
        if period_start_ms(self.tariff.period, self.bank.now_ms()) != self._start_ms:
            self._purse, self._start_ms = 0, -1

    async def closed(self, start_ms: int, unused: int) -> None:
        """A link is over; steps that it paid and did not use go back to the store.

        They never go into the purse: what an SOS took out of its own part pays nothing else.
        After the last link the purse goes back too. Raises: StoreError, and they are lost then.
        """
        self._streams -= 1
        with trio.CancelScope(shield=True):
            if unused:
                await self.bank.give_back(self.tariff, start_ms, unused)
            async with self._turn:
                if self._streams or not self._purse:
                    return
                steps, self._purse = self._purse, 0
                await self.bank.give_back(self.tariff, self._start_ms, steps)


class Fare:
    """What one link pays, and out of what."""

    def __init__(self, meter: Meter, *, is_sos: bool) -> None:
        self._meter = meter
        self.is_sos = is_sos
        """True for a link that is there for SOS alone."""
        self._ahead = 0
        self._ahead_ms = -1
        self._is_closed = False
        self.is_spent = False
        """True once something was refused: what hangs on this fare is over."""

    @property
    def tariff(self) -> Tariff:
        """What is paid."""
        return self._meter.tariff

    @property
    def may_go_on(self) -> bool:
        """True where an SOS that is pressing could pay what this fare could not."""
        return not self.is_sos and self._meter.bank.is_sos_pressing

    async def pay(self, steps: int) -> None:
        """Pay before sending. Raises: Unpaid, StoreError."""
        await self._paid(steps)

    async def _paid(self, steps: int) -> int:
        try:
            return await self._meter.pay(steps, is_sos=self.is_sos)
        except Unpaid:
            if not self.is_spent:
                self._meter.bank.refused(self.tariff)
            self.is_spent = True
            raise

    async def pay_ahead(self, steps: int) -> None:
        """Have so many steps ready before anything is read. Raises: Unpaid, StoreError."""
        now_ms = self._meter.bank.now_ms()
        if self._ahead_ms != period_start_ms(self.tariff.period, now_ms):
            # A new period: what was booked in the old one pays nothing of it.
            self._ahead = 0
        while self._ahead < steps:
            missing = steps - self._ahead
            start_ms = await self._paid(missing)
            self._ahead = missing + (self._ahead if start_ms == self._ahead_ms else 0)
            self._ahead_ms = start_ms

    def came(self, steps: int) -> None:
        """So many of the steps paid ahead were used."""
        assert steps <= self._ahead, "more came than was paid for"
        self._ahead -= steps

    async def close(self, *, keeps_ahead: bool) -> None:
        """The link is over. `keeps_ahead`: more may be under way here, which is paid already."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._meter.closed(self._ahead_ms, 0 if keeps_ahead else self._ahead)


class Bursts(Protocol):
    """How a bearer is billed."""

    read_bytes: int
    """Most that is read at once."""
    hold_bytes: int
    """What may be under way to us unread; kept paid until the peer ends the stream."""

    def opening(self, tariff: Tariff) -> int:
        """Return what opening a stream costs, steps."""
        ...

    def worth(self, tariff: Tariff) -> int:
        """Return what a stream costs that does some good, with all that it has to have ready."""
        ...

    def sent(self, tariff: Tariff, size_bytes: int) -> int:
        """Return what sending so many bytes at once costs, steps."""
        ...

    def most(self, tariff: Tariff) -> int:
        """Return the most that one read can cost, steps."""
        ...

    def came(self, tariff: Tariff, data: bytes) -> int:
        """Return what came costs, steps; at most `most`."""
        ...


class Packets:
    """Billing of a stream of packets: TCP over a mobile network."""

    read_bytes = _READ_BYTES
    hold_bytes = _ADVANCE_BYTES_MAX

    def opening(self, tariff: Tariff) -> int:
        """See `Bursts.opening`."""
        return steps_of(tariff, _OPENING_BYTES)

    def worth(self, tariff: Tariff) -> int:
        """See `Bursts.worth`."""
        return steps_of(tariff, _WORTH_BYTES) + self.most(tariff)

    def sent(self, tariff: Tariff, size_bytes: int) -> int:
        """See `Bursts.sent`."""
        packets = -(-size_bytes // _PACKET_BYTES)
        return steps_of(tariff, size_bytes + packets * _PACKET_OVERHEAD_BYTES)

    def most(self, tariff: Tariff) -> int:
        """See `Bursts.most`: with all that the kernel may hold beside it."""
        return self.sent(tariff, self.read_bytes) + self.sent(tariff, self.hold_bytes)

    def came(self, tariff: Tariff, data: bytes) -> int:
        """See `Bursts.came`."""
        return self.sent(tariff, len(data))


class Frames:
    """Billing of a line of KISS frames, each of which is one burst of the modem."""

    read_bytes = _LINE_READ_BYTES
    hold_bytes = NARROW_FRAME_BYTES_MAX

    def __init__(self, worth_bytes: int = _WORTH_BYTES, window: int = WINDOW_FRAMES) -> None:
        """`worth_bytes` is what a port must be able to carry to be of use, as billed.

        `window` frames of ours may be answered one by one while nobody reads.
        """
        self._worth_bytes = worth_bytes
        self._window = window
        self._partial = 0
        self._billed = 0

    def opening(self, _tariff: Tariff) -> int:
        """See `Bursts.opening`: a port that is opened sends nothing by that."""
        return 0

    def worth(self, tariff: Tariff) -> int:
        """See `Bursts.worth`."""
        return steps_of(tariff, self._worth_bytes) + self.most(tariff)

    def sent(self, tariff: Tariff, size_bytes: int) -> int:
        """See `Bursts.sent`."""
        return steps_of(tariff, size_bytes)

    def most(self, tariff: Tariff) -> int:
        """See `Bursts.most`: with the rest of a frame that has begun, which is billed as one."""
        read = steps_of(tariff, self.read_bytes) + self.read_bytes // (_FRAME_BYTES_MIN - 1) + 2
        answers = self._window * steps_of(tariff, _ACK_BYTES)
        return read + steps_of(tariff, self.hold_bytes) + answers

    def came(self, tariff: Tariff, data: bytes) -> int:
        """See `Bursts.came`: a frame that has begun is billed as far as it came."""
        steps = 0
        for byte in data:
            self._partial += 1
            if self._partial >= _FRAME_BYTES_MIN:
                due = steps_of(tariff, self._partial)
                steps += due - self._billed
                self._billed = due
            if byte == _FLAG:
                # One flag may end a frame and begin the next.
                self._partial, self._billed = 1, 0
        return steps


class MeteredStream(trio.abc.Stream):
    """A stream of which every byte is paid before it crosses, both ways."""

    def __init__(self, stream: trio.abc.Stream, fare: Fare, bursts: Bursts) -> None:
        self._stream = stream
        self._fare = fare
        self._bursts = bursts
        self._has_ended = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Pay, then send. Raises: Unpaid, as the stream."""
        await self._fare.pay(self._bursts.sent(self._fare.tariff, len(data)))
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Pay for the most that may come, then read. Raises: Unpaid, as the stream."""
        tariff, most = self._fare.tariff, self._bursts.read_bytes
        await self._fare.pay_ahead(self._bursts.most(tariff))
        data = bytes(await self._stream.receive_some(min(max_bytes or most, most)))
        self._has_ended = self._has_ended or not data
        self._fare.came(self._bursts.came(tariff, data))
        return data

    async def aclose(self) -> None:
        """Close, and give back what was not used; not what may be under way to us still."""
        try:
            await self._stream.aclose()
        finally:
            is_under_way = bool(self._bursts.hold_bytes) and not self._has_ended
            await self._fare.close(keeps_ahead=is_under_way)
