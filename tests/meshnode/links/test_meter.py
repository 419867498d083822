"""Meters: paid before it crosses, whatever the order, and however often the node is killed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from meshnode.budgets import Budgets
from meshnode.errors import BudgetError, LinkError
from meshnode.links.base import Address, Link, LinkCost
from meshnode.links.knocking import Knocks
from meshnode.links.meter import Frames, Meter, MeteredStream, Packets, Unpaid
from meshnode.links.serial_bearer import PortSettings, SerialBearer
from meshnode.links.serial_port import open_port
from meshnode.links.tcp import TCPBearer
from meshnode.links.tolls import Tolls
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.store.engine import open_store
from protocol.budgets import Period, Tariff, period_end_ms, read_tariff, steps_of
from protocol.narrow.bounds import WINDOW_FRAMES
from protocol.narrow.frames import FrameKind, Piece, encode_frame
from protocol.narrow.kiss import encode_kiss
from protocol.network_keys import epoch_at
from tests.meshnode.links.lines import LineEnd, channel
from tests.meshnode.links.parts import network, runtime

SATELLITE = "/dev/ttyTEST0 per=month bytes=5000 euros=5 step=50 price=0.05 sos=1000"
DAY_MS = 86_400_000
NAME = PortSettings("/dev/ttyTEST0").name


@asynccontextmanager
async def bank(
    path: Path | None, *lines: str, clock: Runtime | None = None
) -> AsyncIterator[Budgets]:
    """Open the budgets of a node, as after a start."""
    seams = clock or runtime()
    async with open_store(path, seams) as store:
        yield Budgets([read_tariff(each) for each in lines], store, seams)


class Operator(trio.abc.Stream):
    """The far side: counts what it bills, which is all that a modem really moves."""

    def __init__(self, tariff: Tariff) -> None:
        self.tariff = tariff
        self.billed_bytes = 0

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Bill a burst in full steps."""
        self.billed_bytes += steps_of(self.tariff, len(data)) * self.tariff.step_bytes
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Nothing ever comes."""
        await trio.sleep_forever()

    async def aclose(self) -> None:
        """Close."""
        await trio.lowlevel.checkpoint()


async def talk(meter: Meter, operator: Operator, random: Random) -> None:
    """Open a link and send bursts until it is done, or refused."""
    try:
        fare = await meter.open(1)
    except BudgetError:
        return
    stream = MeteredStream(operator, fare, Frames())
    try:
        for _ in range(random.randrange(12)):
            await stream.send_all(bytes(random.randrange(1, 260)))
    except Unpaid:
        assert fare.is_spent
    finally:
        await stream.aclose()


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_order_and_no_kill_makes_a_bearer_cost_more_than_its_budget(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Links side by side, SOS that come and go, and a kill at any step of any of them."""
    path = tmp_path_factory.mktemp("spent") / "store.db"
    random = Random(seed)
    operator = Operator(read_tariff(SATELLITE))

    async def life(is_last: bool) -> int:
        async with bank(path, SATELLITE) as budgets:
            meter = budgets.meter_of("/dev/ttyTEST0")
            assert meter is not None
            budgets.press(is_pressing=random.random() < 0.3)
            with trio.move_on_after(1e6 if is_last else random.random() / 50):
                async with trio.open_nursery() as nursery:
                    for _ in range(3):
                        nursery.start_soon(talk, meter, operator, random)
            (account,) = await budgets.accounts()
            # A kill: what is in memory is gone, and only what was booked counts.
            assert operator.billed_bytes <= account.spent.billed_bytes <= 5_000
            assert account.spent.microeuros == account.spent.billed_bytes // 50 * 50_000
            if not budgets.is_sos_pressing:
                return account.left_sos_bytes
            return 5_000

    kept = [trio.run(life, number == 7) for number in range(8)]
    assert operator.billed_bytes <= 5_000
    if all(each < 5_000 for each in kept):
        assert kept[-1] >= 1_000, "nobody but an SOS touches what is kept for it"


async def test_the_pace_knows_what_is_held_ready_and_stops_at_a_store_that_fails(
    autojump_clock: MockClock,
) -> None:
    async with bank(None, SATELLITE) as budgets:
        budgets.metrics = Metrics()
        meter = budgets.meter_of("/dev/ttyTEST0")
        assert meter is not None
        before_ms = await meter.pace_ms([101, 50], 10**12)
        rest_ms = period_end_ms(Period.MONTH, budgets.now_ms()) - budgets.now_ms()
        assert before_ms == -(-rest_ms * 4 // 80), "80 steps are for ordinary messages"
        fare = await meter.open(0, 20)
        assert await meter.pace_ms([101, 50], 10**12) == before_ms, "booked and not spent"
        await fare.pay(40)
        assert await meter.pace_ms([101, 50], 10**12) >= 2 * before_ms - 1
        assert await meter.pace_ms([101, 50], 1_000) == 1_000
        assert await meter.pace_ms([0], 1_000) == 0, "nothing was sent"
    meter = budgets.meter_of("/dev/ttyTEST0")
    assert meter is not None
    assert (await budgets.left(meter.tariff))[0] == 0, "the store is closed"


async def test_only_an_sos_may_use_what_is_kept_for_it(autojump_clock: MockClock) -> None:
    async with bank(None, SATELLITE) as budgets:
        budgets.metrics = Metrics()
        meter = budgets.meter_of("/dev/ttyTEST0")
        assert meter is not None
        operator = Operator(meter.tariff)
        fare = await meter.open(1)
        assert not fare.is_sos
        stream = MeteredStream(operator, fare, Frames())
        with pytest.raises(Unpaid):
            while True:
                await stream.send_all(bytes(40))
        await stream.aclose()
        (account,) = await budgets.accounts()
        assert (account.left_bytes, account.left_sos_bytes) == (0, 1_000)
        with pytest.raises(BudgetError, match="meshnode budget"):
            await meter.open(1)
        assert budgets.metrics.value("budget_refusals") == 2
        told: list[bool] = []
        budgets.on_sos.append(lambda: told.append(True))
        budgets.press(is_pressing=True)
        budgets.press(is_pressing=True)
        assert told == [True]
        urgent = MeteredStream(operator, fare := await meter.open(1), Frames())
        assert fare.is_sos
        await urgent.send_all(bytes(40))
        budgets.press(is_pressing=False)
        with pytest.raises(Unpaid):
            await urgent.send_all(bytes(40))
        await urgent.aclose()
        (account,) = await budgets.accounts()
        assert (account.left_bytes, account.left_sos_bytes) == (0, 900)


async def test_what_was_booked_in_one_period_pays_nothing_of_the_next(
    autojump_clock: MockClock,
) -> None:
    now_ms = [10 * DAY_MS]
    usual = runtime()
    clock = Runtime(lambda: now_ms[0], usual.entropy, usual.run_blocking, usual.trace)
    async with bank(None, "wwan* per=day bytes=1000000", clock=clock) as budgets:
        meter = budgets.meter_of("wwan0")
        assert meter is not None
        fare = await meter.open(100)
        (first,) = await budgets.accounts()
        assert first.spent.billed_bytes == 2_000, "one part in five hundred is booked at a time"
        now_ms[0] += DAY_MS
        (second,) = await budgets.accounts()
        assert second.spent.billed_bytes == 0
        await fare.pay(10)
        await fare.pay_ahead(500)
        (second,) = await budgets.accounts()
        assert second.spent.billed_bytes == 2_000
        await fare.close(keeps_ahead=False)
        (second,) = await budgets.accounts()
        assert second.spent.billed_bytes == 10
        now_ms[0] -= DAY_MS
        (first,) = await budgets.accounts()
        assert first.spent.billed_bytes == 2_000, "a clock that goes back gives nothing back"


@given(
    chunks=st.lists(st.binary(max_size=Frames.read_bytes), max_size=40), step=st.integers(1, 300)
)
def test_what_is_read_costs_no_more_than_was_paid_for(chunks: list[bytes], step: int) -> None:
    tariff = read_tariff(f"/dev/x per=day bytes=100000 step={step}")
    frames, packets = Frames(), Packets()
    for chunk in chunks:
        assert frames.came(tariff, chunk) <= frames.most(tariff)
        assert packets.came(tariff, chunk) <= packets.most(tariff)


def test_a_frame_costs_the_same_in_whatever_pieces_it_comes() -> None:
    tariff = read_tariff("/dev/x per=day bytes=100000 step=50")
    frame = b"\xc0\x00" + bytes(117) + b"\xc0"
    for size in (1, 7, 50, 240):
        frames, data = Frames(), frame * 2
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        assert sum(frames.came(tariff, each) for each in pieces) == 2 * 3


async def test_an_interface_without_money_is_not_dialled_over() -> None:
    """Over the loopback, which this budget is about."""

    async def loopback(_host: str) -> str:
        return "lo"

    async with bank(None, "lo per=day bytes=120000") as budgets:
        budgets.metrics = Metrics()
        server = TCPBearer(network().contexts(), runtime(), [Address("127.0.0.1", 0)])
        client = TCPBearer(network().contexts(), runtime())
        client.tolls = Tolls(budgets.meter_of, loopback)
        links: list[Link] = []

        async def keep(link: Link) -> None:
            links.append(link)
            while await link.receive(1_000):
                pass

        async with trio.open_nursery() as nursery:
            (address,) = await nursery.start(server.serve, keep)
            link = await client.dial(address)
            assert link.cost is LinkCost.METERED
            with pytest.raises(LinkError):
                while True:
                    await link.send(bytes(1_000))
            await link.aclose()
            served = len(links)
            with pytest.raises(BudgetError):
                while True:
                    await (await client.dial(address)).aclose()
            assert budgets.metrics.value("budget_refusals") == 2
            (account,) = await budgets.accounts()
            assert account.spent.billed_bytes <= 120_000
            with pytest.raises(BudgetError):
                await client.dial(address)
            assert served == 1
            nursery.cancel_scope.cancel()


async def test_a_port_that_is_open_for_sos_sends_alarms_and_no_positions(
    autojump_clock: MockClock,
) -> None:
    everything_is_for_sos = "/dev/ttyTEST0 per=month bytes=5000 step=50 sos=5000"
    async with billed_port(everything_is_for_sos, 1_200) as (bearer, budgets, line):
        assert bearer.air(NAME, bytes(60), is_alarm=True) == 0, "the port is shut"
        budgets.press(is_pressing=True)
        await trio.sleep(1)
        before = line.sent_bytes
        assert bearer.air(NAME, bytes(60), is_alarm=False) == 0
        await trio.sleep(9)
        assert line.sent_bytes == before
        assert bearer.air(NAME, bytes(60), is_alarm=True) > 60
        await trio.sleep(9)
        assert line.sent_bytes > before


async def test_a_port_too_slow_for_sessions_opens_for_what_one_frame_costs(
    autojump_clock: MockClock,
) -> None:
    """A handshake never goes over it, so it need not be able to pay for one."""
    sent_bytes = {rate_bps: await _aired(rate_bps) for rate_bps in (1_200, 9_600)}
    assert sent_bytes[1_200] > 60
    assert sent_bytes[9_600] == 0, "this one is kept for an SOS, which tries with less"


async def _aired(rate_bps: int) -> int:
    """Return the bytes of a form that a port sends whose budget is 6,000 bytes."""
    budget = "/dev/ttyTEST0 per=day bytes=6000 step=50"
    async with billed_port(budget, rate_bps) as (bearer, _budgets, _line):
        return bearer.air(NAME, bytes(60), is_alarm=False)


@asynccontextmanager
async def billed_port(
    budget: str, rate_bps: int
) -> AsyncIterator[tuple[SerialBearer, Budgets, LineEnd]]:
    """Serve a port with a budget for a second and on, on a line that nobody else hears."""
    seams, keys = runtime(), {epoch_at(runtime().now_ms()): [b"k" * 32]}
    line = channel({"boat": ""}, rate_bps=rate_bps)["boat"]
    async with bank(None, budget, clock=seams) as budgets, trio.open_nursery() as nursery:
        bearer = SerialBearer(
            [PortSettings("/dev/ttyTEST0", rate_bps)],
            network().contexts,
            seams,
            knocks=Knocks(seams, lambda: keys),
            opener=lambda _path, _rate: line,
            meters=budgets.meter_of,
        )
        budgets.on_sos.append(bearer.call_out)
        nursery.start_soon(bearer.serve, _refuse)
        await trio.sleep(1)
        yield bearer, budgets, line
        nursery.cancel_scope.cancel()


async def _refuse(_link: Link) -> None:
    raise AssertionError("nobody calls")


@pytest.mark.parametrize("bursts", [Packets(), Frames()])
async def test_what_is_left_is_no_ordinary_link_unless_it_can_be_read(
    autojump_clock: MockClock, bursts: Packets | Frames
) -> None:
    """Else it would open, end at once, and open again, and an SOS would never have its turn."""
    async with bank(None, "/dev/x per=day bytes=500000 step=50 sos=200000") as budgets:
        budgets.metrics = Metrics()
        meter = budgets.meter_of("/dev/x")
        assert meter is not None
        tariff = meter.tariff
        everything = await meter.open(0)
        await everything.pay(6_000 - bursts.worth(tariff) - bursts.opening(tariff))
        budgets.press(is_pressing=True)
        fare = await meter.open(bursts.opening(tariff), bursts.worth(tariff))
        assert not fare.is_sos
        await fare.pay_ahead(bursts.most(tariff))
        await fare.close(keeps_ahead=False)
        await everything.pay(1)
        fare = await meter.open(bursts.opening(tariff), bursts.worth(tariff))
        assert fare.is_sos
        await fare.pay_ahead(bursts.most(tariff))
        await fare.close(keeps_ahead=False)
        await everything.close(keeps_ahead=False)


async def test_a_window_of_answers_that_nobody_read_is_paid_already(
    autojump_clock: MockClock,
) -> None:
    """The peer answers each frame of ours, and the modem bills it while the budget is booked."""
    answer = encode_kiss(encode_frame(Piece(FrameKind.DATA, 1, 0, 0, 0, 0, b"")))
    async with bank(None, "/dev/x per=day bytes=40000 step=50 sos=15000") as budgets:
        budgets.metrics = Metrics()
        meter = budgets.meter_of("/dev/x")
        assert meter is not None
        operator, frames = Operator(meter.tariff), Frames()
        fare = await meter.open(0, frames.worth(meter.tariff))
        stream = MeteredStream(operator, fare, Frames())
        with trio.move_on_after(1):
            await stream.receive_some()
        with pytest.raises(Unpaid):
            while True:
                await stream.send_all(bytes(256))
        await stream.aclose()
        for _ in range(WINDOW_FRAMES):
            await operator.send_all(answer)
        (account,) = await budgets.accounts()
        assert operator.billed_bytes <= account.spent.billed_bytes <= 25_000


class Modem:
    """A modem between two pseudo-terminals: bills each frame, both ways, in full steps.

    It hangs up when the port is shut at the end that pays, as a modem does whose DTR line falls.
    """

    def __init__(self, tariff: Tariff) -> None:
        self._tariff = tariff
        self._masters: list[trio.lowlevel.FdStream] = []
        self.paths: list[str] = []
        self.billed_bytes = 0
        self._opened: trio.lowlevel.FdStream | None = None
        for _ in range(2):
            master, slave = os.openpty()
            self.paths.append(os.ttyname(slave))
            self._masters.append(trio.lowlevel.FdStream(master))

    def open(self, path: str, rate_bps: int) -> trio.abc.Stream:
        """Open the port of the end that pays."""
        line = open_port(path, rate_bps)
        assert isinstance(line, trio.lowlevel.FdStream)
        self._opened = line
        return line

    @property
    def _is_shut(self) -> bool:
        return self._opened is None or self._opened.fileno() < 0

    async def run(self) -> None:
        """Carry until cancelled."""
        async with trio.open_nursery() as nursery:
            ours, theirs = self._masters
            nursery.start_soon(self._carry, ours, theirs)
            nursery.start_soon(self._carry, theirs, ours)

    async def _carry(self, source: trio.abc.Stream, target: trio.abc.Stream) -> None:
        frames = Frames()
        while True:
            data = bytes(await source.receive_some(1_000))
            if not self._is_shut:
                self.billed_bytes += frames.came(self._tariff, data) * self._tariff.step_bytes
                await target.send_all(data)


@pytest.mark.slow
async def test_a_modem_on_a_pseudo_terminal_never_bills_more_than_the_budget() -> None:
    usual = "per=month bytes=40000 euros=48 step=50 price=0.06 sos=15000"
    modem = Modem(read_tariff(f"/dev/x {usual}"))
    paid, free = (PortSettings(each, 115_200) for each in modem.paths)
    async with (
        bank(None, f"{paid.path} {usual}") as budgets,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(modem.run)
        budgets.metrics = Metrics()
        boat = SerialBearer([paid], network().contexts, runtime(seed=1), opener=modem.open)
        boat.meters = budgets.meter_of
        shore = SerialBearer([free], network().contexts, runtime(seed=2))
        budgets.on_sos.append(boat.call_out)
        found, links = trio.open_memory_channel[Link](4)

        async def keep(name: str, link: Link) -> None:
            if name == "boat":
                await found.send(link)
                await trio.sleep_forever()
            with contextlib.suppress(LinkError):
                while await link.receive(1_000):
                    pass

        async def call(name: str, each: SerialBearer) -> None:
            async for address in each.heard:
                try:
                    link = await each.dial(address)
                except LinkError:
                    continue
                nursery.start_soon(keep, name, link)

        for name, each in (("boat", boat), ("shore", shore)):
            await nursery.start(each.serve, lambda link, name=name: keep(name, link))
            nursery.start_soon(call, name, each)
        with trio.fail_after(25):
            link = await links.receive()
            assert (link.cost, link.is_sos_only) == (LinkCost.COSTLY, False)
            with pytest.raises(LinkError):
                while True:
                    await link.send(bytes(500))
            (account,) = await budgets.accounts()
            assert account.left_sos_bytes >= 15_000
            assert modem.billed_bytes <= account.spent.billed_bytes <= 25_000
            budgets.press(is_pressing=True)
            # Both ends dial: an ordinary link that was made beside the first may come before.
            while not link.is_sos_only:
                link = await links.receive()
        (account,) = await budgets.accounts()
        assert modem.billed_bytes <= account.spent.billed_bytes <= 40_000
        assert account.spent.microeuros <= 48_000_000
        print(
            f"\nsatellite on a pty: billed {modem.billed_bytes} bytes, booked "
            f"{account.spent.billed_bytes} of 40000 bytes, {account.spent.microeuros / 1e6:.2f}"
            f" of 48.00 euros; kept for SOS: {account.left_sos_bytes}"
        )
        nursery.cancel_scope.cancel()
