"""gpsd's protocol, spoken by a server of the test that lies, floods, hangs and closes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from meshnode.errors import SensorError
from meshnode.metrics import Metrics
from meshnode.sensors.bounds import GPSD_LINE_BYTES_MAX
from meshnode.sensors.gpsd import Gpsd, read_report_untrusted
from meshnode.sensors.hub import SensorHub
from tests.meshnode.sensors.stand import NOW_MS, running
from tests.patience import HANGS_S, stopwatch

pytestmark = [pytest.mark.real, pytest.mark.slow]

TIME = datetime.fromtimestamp(NOW_MS / 1000, UTC).isoformat().replace("+00:00", "Z")
FIX: dict[str, Any] = {
    "class": "TPV",
    "mode": 3,
    "time": TIME,
    "lat": 44.9,
    "lon": 6.64,
    "eph": 9.5,
    "speed": 1.5,
    "track": 90.0,
}
Talk = Callable[[trio.SocketStream], Awaitable[None]]


def line(**changes: Any) -> bytes:
    fields = {name: value for name, value in {**FIX, **changes}.items() if value is not ...}
    return json.dumps(fields).encode() + b"\n"


@asynccontextmanager
async def served(talk: Talk) -> AsyncIterator[tuple[SensorHub, Metrics]]:
    """Run a sensor against a server that does `talk` with each client once it watches."""

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                assert b"?WATCH" in await stream.receive_some(100)
                await talk(stream)
            except trio.BrokenResourceError:
                pass

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        port = listener.socket.getsockname()[1]
        async with running(Gpsd("gpsd", "127.0.0.1", port)) as found:
            yield found
        nursery.cancel_scope.cancel()


async def until(is_so: Callable[[], bool]) -> None:
    with trio.fail_after(HANGS_S):
        while not is_so():  # noqa: ASYNC110  # Another process decides.
            await trio.sleep(0.01)


def says(*lines: bytes) -> Talk:
    async def talk(stream: trio.SocketStream) -> None:
        for each in lines:
            await stream.send_all(each)
        await trio.sleep_forever()

    return talk


async def test_a_report_is_read() -> None:
    async with served(says(b'{"class":"VERSION"}\n', line())) as (hub, _):
        await until(lambda: hub.position is not None)
        found: Any = hub.position
        assert (found.latitude, found.longitude, found.accuracy_m) == (44.9, 6.64, 9.5)
        assert (found.speed_m_s, found.course_deg, found.told_ms) == (1.5, 90, NOW_MS)


async def test_reports_without_a_fix_or_a_time_give_nothing() -> None:
    talk = says(line(mode=0), line(mode=1), line(mode="3"), line(time=...), line(lat=...))
    async with served(talk) as (hub, metrics):
        await until(lambda: hub.reports()[0].trouble is not None)
        await trio.sleep(0.1)
        assert hub.position is None
        assert str(hub.reports()[0].trouble) == "the receiver has no fix"
        assert metrics.value("sensor_refusals") == 0


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (line(lat=91), "latitude"),
        (line(lat=float("nan")), "latitude"),
        (line(lon=float("inf")), "longitude"),
        (line(lon=...), "longitude"),
        (line(lat="44"), "latitude"),
        (line(lat=True), "latitude"),
        (line(lat=0, lon=0), "null-island"),
        (line(eph=-1), "accuracy"),
        (line(speed=400), "speed"),
        (line(track=361), "course"),
        (line(time="2001-01-01T00:00:00Z"), "date"),
        (line(time="9999-99-99"), "time"),
        (line(time=7), "time"),
        (b"[1]\n", "sentence"),
        (b"{\n", "sentence"),
        (b"[" * 10_000 + b"\n", "sentence"),
        (b'{"class":"TPV","mode":' + b"9" * 5_000 + b"}\n", "sentence"),
        (b"x" * (GPSD_LINE_BYTES_MAX + 1) + b"\n", "line"),
        (b"\xff\xfe\n", "sentence"),
    ],
)
async def test_a_lie_is_refused_and_the_truth_after_it_passes(lie: bytes, reason: str) -> None:
    go_on = trio.Event()

    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(lie)
        await go_on.wait()
        await stream.send_all(line())
        await trio.sleep_forever()

    async with served(talk) as (hub, metrics):
        await until(lambda: metrics.value("sensor_refusals") == 1)
        trouble = hub.reports()[0].trouble
        assert trouble is not None
        assert trouble.reason == reason
        assert hub.position is None
        go_on.set()
        await until(lambda: hub.position is not None)
        assert hub.reports()[0].trouble is None


async def test_an_endless_line_is_counted_once_and_holds_nothing() -> None:
    async def talk(stream: trio.SocketStream) -> None:
        with trio.move_on_after(1):
            while True:
                await stream.send_all(b"x" * 65_536)
        await stream.send_all(b"\n" + line())
        await trio.sleep_forever()

    async with served(talk) as (hub, metrics):
        await until(lambda: metrics.value("sensor_refusals") == 1)
        # A flood is read at the pace of the bound, so the node has time for everything else.
        late_s = 0.0
        for _ in range(50):
            with stopwatch() as watch:
                await trio.sleep(0.01)
            late_s = max(late_s, watch.own_s - 0.01)
        assert late_s < 0.5
        assert metrics.value("sensor_refusals") == 1
        assert hub.position is None


async def test_who_closes_is_dialled_again() -> None:
    dialled = 0

    async def talk(stream: trio.SocketStream) -> None:
        nonlocal dialled
        dialled += 1
        if dialled > 1:
            await says(line())(stream)

    async with served(talk) as (hub, metrics):
        await until(lambda: hub.position is not None)
        assert dialled == 2
        assert metrics.value("sensor_failures") == 1


@given(st.binary(max_size=200))
def test_any_line_is_a_report_or_the_named_error(raw: bytes) -> None:
    with suppress(SensorError):
        assert isinstance(read_report_untrusted(raw), dict)
