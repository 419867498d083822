"""NMEA 0183: what is read, what is merged, and what is refused; then over UDP."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from meshnode.errors import SensorError
from meshnode.metrics import Metrics
from meshnode.sensors.base import SensorSink
from meshnode.sensors.bounds import NMEA_LINE_BYTES_MAX, NMEA_TALKER_S, NMEA_TALKERS_MAX
from meshnode.sensors.lines import Lines
from meshnode.sensors.nmea import Fix, FixMerger, parse_sentence_untrusted
from meshnode.sensors.nmea_lines import SerialNmea, UdpNmea
from meshnode.sensors.readings import PositionReading
from tests.meshnode.sensors.nmea_text import gga, rmc, sentence
from tests.meshnode.sensors.stand import NOW_MS, running, sink
from tests.patience import HANGS_S

AT = datetime.fromtimestamp(NOW_MS / 1000, UTC)


def reason_of(line: bytes) -> str:
    with pytest.raises(SensorError) as caught:
        parse_sentence_untrusted(line)
    return caught.value.reason


class Boat:
    """A merger with its sink, and a clock."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.sink: SensorSink
        self.sink, self.passed = sink(self.metrics)
        self.merger = FixMerger("boat")
        self.at_s = 0.0

    def hears(self, *lines: bytes, after_s: float = 0.0) -> list[PositionReading]:
        self.at_s += after_s
        before = len(self.passed)
        for line in lines:
            self.merger.hear(line.rstrip(), self.sink, self.at_s)
        found = self.passed[before:]
        assert all(isinstance(each, PositionReading) for each in found)
        return found  # type: ignore[return-value]


@pytest.mark.parametrize("talker", ["GP", "GN", "GL", "GA", "BD", "GB", "II", "IN"])
def test_any_talker_is_read(talker: str) -> None:
    fix = parse_sentence_untrusted(rmc(-44.9, -6.64, AT, knots=10, course=270, talker=talker))
    assert fix is not None
    assert fix.is_valid
    assert fix.latitude == pytest.approx(-44.9, abs=1e-6)
    assert fix.longitude == pytest.approx(-6.64, abs=1e-6)
    assert fix.speed_m_s == pytest.approx(5.1444, abs=1e-3)
    assert (fix.course_deg, fix.told_ms) == (270, NOW_MS)


def test_known_sentences_are_read_as_the_books_read_them() -> None:
    # The examples that gpsd's and pynmea2's own documentation use.
    fix = parse_sentence_untrusted(
        b"$GPGGA,184353.07,1929.045,S,02410.506,E,1,04,2.6,100.00,M,-33.9,M,,0000*6D"
    )
    assert fix is not None
    assert (round(fix.latitude, 5), round(fix.longitude, 5)) == (-19.48408, 24.1751)
    assert fix.accuracy_m == pytest.approx(13)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\0\xff",
        b"!AIVDM,1,1,,A,13HOI:0P0000VOHLCnHQKwvL05Ip,0*23",
        b"$GPGSV,3,1,11,03,03,111,00*74",
        b"$GPRMC",
        b"$PUBX,00,*33",
        # Of one maker alone, however much its name looks like a position of GPS.
        sentence("PGRMC,A,0.0,100,6378137,298.257,0,0,0,A,3,1,1,4,30"),
        sentence("PAGGA,163670,4453.4,N,00638.4,E"),
    ],
)
def test_what_is_not_for_us_is_passed_over(line: bytes) -> None:
    assert parse_sentence_untrusted(line) is None


def test_what_is_broken_is_refused() -> None:
    good = rmc(44.9, 6.64, AT).strip()
    assert reason_of(good[:-2] + b"00") == "checksum"
    assert reason_of(good[:-3]) == "checksum"
    assert reason_of(good.replace(b"4454", b"4455")) == "checksum"
    assert reason_of(good + b"junk") == "sentence"
    day = f"{AT:%d%m%y}"
    for body, reason in (
        (f"GPRMC,120000,A,4454.0,N,00638.4,E,0,0,{day[:2]}9926,,,A", "time"),
        (f"GPRMC,996000,A,4454.0,N,00638.4,E,0,0,{day},,,A", "time"),
        (f"GPRMC,120000,A,,,,,0,0,{day},,,A", "place"),
        (f"GPRMC,120000,A,4454.0,X,00638.4,E,0,0,{day},,,A", "place"),
        (f"GPRMC,120000,A,north,N,00638.4,E,0,0,{day},,,A", "sentence"),
        (f"GPRMC,120000,A,4454.0,N,00638.4,E,fast,0,{day},,,A", "speed"),
        (f"GPRMC,120000,A,4454.0,N,00638.4,E,nan,0,{day},,,A", "speed"),
        ("GPGGA,120000,4454.0,N,00638.4,E,1,08,inf,1,M,1,M,,", "dilution"),
    ):
        assert reason_of(sentence(body)) == reason, body


@given(st.binary(max_size=300))
def test_any_line_is_a_fix_or_nothing_or_the_named_error(line: bytes) -> None:
    for each in (line, b"$GPRMC," + line, b"$GPGGA," + line):
        with suppress(SensorError):
            found = parse_sentence_untrusted(each)
            assert found is None or isinstance(found, Fix)


@given(st.lists(st.sampled_from("0123456789.,-ANSEWV ")).map("".join), st.booleans())
def test_any_sentence_with_a_right_checksum_as_well(body: str, is_rmc: bool) -> None:
    head = "GPRMC" if is_rmc else "GPGGA"
    with suppress(SensorError):
        found = parse_sentence_untrusted(sentence(f"{head},{body}").strip())
        assert found is not None


async def test_a_pair_is_one_position_with_speed_and_accuracy(autojump_clock: MockClock) -> None:
    boat = Boat()
    for second in range(30):
        at = AT + timedelta(seconds=second)
        place = (44.9 + second * 1e-5, 6.64)
        found = boat.hears(gga(*place, at, dilution="2.0"), rmc(*place, at, knots=10), after_s=1)
        assert len(found) == 1
        assert found[0].accuracy_m == 10
        assert found[0].speed_m_s == pytest.approx(5.144, abs=1e-3)
    assert boat.metrics.value("sensor_refusals") == 0


async def test_a_gga_alone_is_a_position_without_speed(autojump_clock: MockClock) -> None:
    boat = Boat()
    assert boat.hears(gga(44.9, 6.64, AT)) == []
    (found,) = boat.hears(gga(44.9, 6.64, AT + timedelta(seconds=5)), after_s=5)
    assert (found.speed_m_s, found.told_ms, found.accuracy_m) == (None, 0, 4.5)


async def test_a_gga_that_is_repeated_for_ever_is_one_moment_and_no_more(
    autojump_clock: MockClock,
) -> None:
    boat = Boat()
    boat.hears(gga(44.9, 6.64, AT))
    heard = [found for _ in range(60) for found in boat.hears(gga(44.9, 6.64, AT), after_s=1)]
    assert len(heard) == 1, "what stands still is not told as fresh"
    assert str(boat.sink.trouble) == "no sentence with a position came for half a minute"
    assert len(boat.hears(gga(44.9, 6.64, AT + timedelta(seconds=60)))) == 1
    assert boat.sink.trouble is None
    without = sentence("GPGGA,,4454.0000,N,00638.4000,E,1,08,0.9,12.0,M,48.0,M,,")
    assert reason_of(without.rstrip()) == "time"


async def test_no_fix_gives_nothing_and_says_so(autojump_clock: MockClock) -> None:
    boat = Boat()
    assert boat.hears(rmc(44.9, 6.64, AT, status="V"), gga(44.9, 6.64, AT, quality=0)) == []
    assert str(boat.sink.trouble) == "the receiver has no fix"
    for mode in "NMS":
        assert boat.hears(rmc(44.9, 6.64, AT, mode=mode)) == []
    # A receiver that simulates says so in one of the two sentences only.
    assert boat.hears(gga(44.9, 6.64, AT, quality=8), rmc(44.9, 6.64, AT)) == []
    assert boat.hears(rmc(0, 0, AT)) == []
    assert boat.sink.trouble is not None


async def test_a_receiver_that_forgot_its_week_is_told_so(autojump_clock: MockClock) -> None:
    boat = Boat()
    old = AT - timedelta(weeks=1024)
    assert boat.hears(gga(44.9, 6.64, old), rmc(44.9, 6.64, old)) == []
    assert str(boat.sink.trouble) == "its date is 7168 days from this device's clock"
    assert boat.metrics.value("sensor_refusals") == 1


@given(
    st.lists(
        st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"n")), min_size=1, max_size=8
    )
)
def test_lines_are_the_same_however_they_are_cut(pieces: list[bytes]) -> None:
    text = b"\n".join(pieces) + b"\n"
    whole = list(Lines(1000).feed(text))
    slow = Lines(1000)
    assert [line for byte in text for line in slow.feed(bytes([byte]))] == whole
    assert whole == [piece.rstrip(b"\r") for piece in pieces]


def test_a_line_of_the_longest_length_passes_and_an_endless_one_is_told_once() -> None:
    lines = Lines(10)
    assert list(lines.feed(b"0123456789\n")) == [b"0123456789"]
    assert list(lines.feed(b"0123456789a\nb\n")) == [None, b"b"]
    endless = [each for _ in range(1000) for each in lines.feed(b"x" * 100)]
    assert endless == [None]
    assert list(lines.feed(b"tail\ngood\n")) == [b"good"]


# --- UDP ----------------------------------------------------------------------------------------


async def sent(sensor: UdpNmea, *lines: bytes, talker: trio.socket.SocketType) -> None:
    for line in lines:
        await talker.sendto(line, ("127.0.0.1", sensor.port))
    await trio.sleep(0.1)


def udp_socket() -> trio.socket.SocketType:
    return trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)


@pytest.mark.real
@pytest.mark.slow
async def test_the_first_talker_is_followed_and_a_stranger_is_not() -> None:
    sensor = UdpNmea("udp", "127.0.0.1", 0)
    async with running(sensor) as (hub, metrics):
        while not sensor.port:  # noqa: ASYNC110  # The system gives the port.
            await trio.sleep(0.01)
        with udp_socket() as boat, udp_socket() as stranger:
            now = AT
            await sent(sensor, b"\n", b"\xff" * 2000, b"x" * 300, talker=boat)
            await sent(sensor, gga(44.9, 6.64, now) + rmc(44.9, 6.64, now), talker=boat)
            assert hub.position is not None
            await sent(sensor, rmc(44.9001, 6.64, now + timedelta(seconds=1)), talker=stranger)
            assert hub.position.latitude == pytest.approx(44.9, abs=1e-6)
            await sent(sensor, rmc(44.9002, 6.64, now + timedelta(seconds=2)), talker=boat)
            assert hub.position.latitude == pytest.approx(44.9002, abs=1e-6)
            assert metrics.value("sensor_refusals") >= 2


async def test_when_the_followed_talker_is_silent_another_one_is_heard(
    autojump_clock: MockClock,
) -> None:
    sensor = UdpNmea("udp", "127.0.0.1", 0)
    target, passed = sink()
    sensor._hear(rmc(44.9, 6.64, AT), "boat 1", target)
    sensor._hear(rmc(44.9001, 6.64, AT + timedelta(seconds=1)), "spare 1", target)
    assert len(passed) == 1
    await trio.sleep(NMEA_TALKER_S + 1)
    sensor._hear(rmc(44.9001, 6.64, AT + timedelta(seconds=31)), "spare 1", target)
    assert len(passed) == 2
    for number in range(10_000):
        sensor._hear(rmc(44.9, 6.64, AT), f"flood {number}", target)
    assert len(sensor._talkers) <= NMEA_TALKERS_MAX
    assert len(passed) == 2


@pytest.mark.real
@pytest.mark.slow
async def test_an_address_that_is_not_ours_is_told() -> None:
    for host in ("192.0.2.1", "nonsense"):
        async with running(UdpNmea("udp", host, 0)) as (hub, metrics):
            with trio.fail_after(HANGS_S):
                while not metrics.value("sensor_failures"):  # noqa: ASYNC110
                    await trio.sleep(0.01)
            trouble = hub.reports()[0].trouble
            assert trouble is not None
            assert trouble.reason == "missing"


@pytest.mark.real
async def test_what_is_no_serial_line_is_told(tmp_path: object) -> None:
    for path in ("/dev/null", "/dev/none", "/etc/hostname", "/"):
        target, _ = sink()
        with pytest.raises(SensorError) as caught:
            await SerialNmea("serial", path, 4800).run(target)
        assert caught.value.reason == "missing"


def test_a_sentence_of_the_standard_fits() -> None:
    assert NMEA_LINE_BYTES_MAX >= 2 * 82
