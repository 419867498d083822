"""Commands of Termux:API, played by scripts: right answers, garbage, floods, silence for ever."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from meshnode.errors import SensorError
from meshnode.metrics import Metrics
from meshnode.sensors import termux
from meshnode.sensors.bounds import TERMUX_BYTES_MAX
from meshnode.sensors.commands import output_of
from meshnode.sensors.readings import (
    BatteryReading,
    CoverageBearer,
    CoverageReading,
    PositionReading,
)
from tests.meshnode.sensors.stand import sink
from tests.patience import HANGS_S

pytestmark = [pytest.mark.real, pytest.mark.slow]

Script = Callable[[str, str], str]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Put a command of this name, which does this, before all others."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def make(name: str, body: str) -> str:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o700)
        return str(path)

    return make


def prints(value: object) -> str:
    return f"cat <<'END'\n{json.dumps(value)}\nEND"


def is_alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


async def test_what_a_command_prints_comes_back(script: Script) -> None:
    assert await output_of([script("x", "printf abc")], 10, 100) == b"abc"
    assert await output_of([script("x", "head -c 100 /dev/zero")], 10, 100) == bytes(100)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("sleep 1000", "slow"),
        ("exec >&-; sleep 1000", "slow"),
        ("trap '' TERM INT HUP; while :; do sleep 1000; done", "slow"),
        ("sleep 1000 & echo $! >helper; exit 0", "slow"),
        ("yes", "flood"),
        ("head -c 101 /dev/zero", "flood"),
        ("exit 3", "failed"),
        ("kill -9 $$", "failed"),
    ],
)
async def test_a_command_that_misbehaves_is_dead_soon(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = script("x", f"echo $$ >own; {body}")
    with trio.fail_after(2 * HANGS_S), pytest.raises(SensorError) as caught:
        await output_of([path], 0.5 if reason == "slow" else HANGS_S, 100)
    assert caught.value.reason == reason
    for name in ("own", "helper"):
        if (tmp_path / name).exists():
            pid = int((tmp_path / name).read_text())
            with trio.fail_after(HANGS_S):
                while is_alive(pid):  # noqa: ASYNC110  # The kernel decides.
                    await trio.sleep(0.01)


async def test_a_cancelled_command_is_dead_as_well(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = script("x", "echo $$ >own; trap '' TERM; while :; do sleep 1000; done")
    own = tmp_path / "own"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(output_of, [path], 100, 100)
        await until(lambda: own.exists() and own.read_text().endswith("\n"))
        nursery.cancel_scope.cancel()
    assert not is_alive(int(own.read_text()))


async def test_a_command_that_is_missing_says_so(tmp_path: Path) -> None:
    with pytest.raises(SensorError, match="is not installed here"):
        await output_of([str(tmp_path / "none")], 1, 100)
    (tmp_path / "plain").write_text("no program")
    with pytest.raises(SensorError, match="cannot be started"):
        await output_of([str(tmp_path / "plain")], 1, 100)


async def until(is_so: Callable[[], bool]) -> None:
    with trio.fail_after(HANGS_S):
        while not is_so():  # noqa: ASYNC110  # A process decides.
            await trio.sleep(0.01)


async def heard(sensor: termux._Termux, count: int = 1) -> tuple[list[object], list[str]]:
    """Run a sensor until it said or refused something so often; return both."""
    metrics = Metrics()
    target, passed = sink(metrics)
    reasons: list[str] = []
    explain = target.explain

    def listen(error: SensorError) -> None:
        reasons.append(error.reason)
        explain(error)

    target.explain = listen  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sensor.run, target)
        await until(lambda: len(passed) + len(reasons) >= count)
        nursery.cancel_scope.cancel()
    assert metrics.value("sensor_refusals") == target.refused
    return list(passed), reasons


async def test_a_location_is_read_with_its_age(script: Script) -> None:
    script(
        "termux-location",
        prints(
            {
                "latitude": 44.9,
                "longitude": 6.64,
                "altitude": 1326.0,
                "accuracy": 12.5,
                "bearing": 90.0,
                "speed": 1.5,
                "elapsedMs": 4000,
                "provider": "gps",
            }
        ),
    )
    (found,), reasons = await heard(termux.TermuxPosition("termux", 60))
    assert isinstance(found, PositionReading)
    assert (found.latitude, found.accuracy_m, found.speed_m_s) == (44.9, 12.5, 1.5)
    assert reasons == []


async def test_a_battery_is_read_and_a_sentinel_is_no_current(script: Script) -> None:
    good = {"percentage": 83, "plugged": "PLUGGED_AC", "status": "FULL", "temperature": 29.1}
    script("termux-battery-status", prints({**good, "current": -2147483648, "voltage": 4000}))
    (found,), _ = await heard(termux.TermuxBattery("termux", 60))
    assert isinstance(found, BatteryReading)
    assert (found.level_pct, found.is_charging, found.power_w) == (83, True, None)
    away = {**good, "plugged": "UNPLUGGED", "status": "DISCHARGING", "current": -500_000}
    script("termux-battery-status", prints({**away, "voltage": 4000}))
    (found,), _ = await heard(termux.TermuxBattery("termux", 60))
    assert isinstance(found, BatteryReading)
    assert (found.is_charging, found.power_w) == (False, 2.0)


async def test_the_best_cell_is_the_coverage(script: Script) -> None:
    script("termux-telephony-deviceinfo", prints({"network_operator_name": "Or\u001bange F"}))
    cells = [
        {"type": "wcdma", "registered": True, "dbm": -90, "level": 2},
        {"type": "lte", "registered": True, "dbm": -85, "level": 3},
        {"type": "nr", "registered": False, "dbm": -85, "level": 4},
    ]
    script("termux-telephony-cellinfo", prints(cells))
    (found,), _ = await heard(termux.TermuxCoverage("termux", 60))
    assert isinstance(found, CoverageReading)
    assert found.bearer is CoverageBearer.FOUR_G
    assert (found.signal_pct, found.operator, found.is_registered) == (75, "Orange F", True)
    script("termux-telephony-cellinfo", prints([]))
    (found,), _ = await heard(termux.TermuxCoverage("termux", 60))
    assert isinstance(found, CoverageReading)
    assert (found.bearer, found.is_registered) == (CoverageBearer.NONE, False)
    script("termux-telephony-cellinfo", prints([{"type": "lte", "registered": True, "dbm": 2**31}]))
    (found,), _ = await heard(termux.TermuxCoverage("termux", 60))
    assert isinstance(found, CoverageReading)
    assert found.signal_pct is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo '{\"percentage\": -5}'", "battery level"),
        ("echo '{\"percentage\": 250}'", "battery level"),
        ("echo '{\"percentage\": NaN}'", "battery level"),
        ('echo \'{"percentage": "full"}\'', "battery level"),
        ("echo '{}'", "battery level"),
        ("echo '[1, 2]'", "garbage"),
        ("echo 'Unknown API call'", "garbage"),
        ("head -c 1000 /dev/urandom", "garbage"),
        ("head -c 60000 /dev/zero | tr '\\0' '['", "garbage"),
        ("true", "permission"),
        ('echo \'{"API_ERROR": "no permission"}\'', "permission"),
        ("head -c 10000000 /dev/zero", "flood"),
        ("exit 1", "failed"),
    ],
)
async def test_nonsense_is_refused_once_each_time_and_asked_again(
    script: Script, body: str, reason: str
) -> None:
    script("termux-battery-status", body)
    passed, reasons = await heard(termux.TermuxBattery("termux", 0.01), 2)
    assert passed == []
    assert set(reasons) == {reason}


async def test_a_command_that_never_returns_blocks_no_other(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    script("termux-battery-status", "sleep 1000")
    monkeypatch.setattr(termux.TermuxBattery, "limit_s", 0.2)
    passed, reasons = await heard(termux.TermuxBattery("termux", 0.01), 3)
    assert passed == []
    assert len(reasons) >= 3
    assert set(reasons) == {"slow"}


def test_a_list_of_many_cells_fits() -> None:
    cell = {"type": "lte", "registered": True, "asu": 97, "dbm": -1000, "level": 4, "ci": 2**28}
    assert len(json.dumps([{**cell, "tac": 2**16, "pci": 999, "mcc": 208}] * 32, indent=2)) < (
        TERMUX_BYTES_MAX
    )
