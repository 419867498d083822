"""Readings from a file, on the virtual clock."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from meshnode.errors import SensorError
from meshnode.sensors.bounds import REPLAY_BYTES_MAX, REPLAY_LINE_BYTES_MAX, REPLAY_S_MAX
from meshnode.sensors.readings import CoverageBearer, SensorKind
from meshnode.sensors.replay import Replay, read_line_untrusted
from tests.meshnode.sensors.stand import NOW_MS, running, sink

DAY = [
    {"at_s": 0, "kind": "position", "latitude": 44.9, "longitude": 6.64, "accuracy_m": 8},
    {"at_s": 0, "kind": "battery", "level_pct": 90, "is_charging": False, "power_w": 4.5},
    {"at_s": 10, "kind": "coverage", "bearer": "4G", "signal_pct": 40, "operator": "Test"},
    {"at_s": 60, "kind": "position", "latitude": 44.91, "longitude": 6.64, "speed_m_s": 9},
    {"at_s": 90, "kind": "coverage", "bearer": "none"},
]


def written(folder: Path, *lines: object) -> Path:
    path = folder / "day.jsonl"
    texts = [each if isinstance(each, str) else json.dumps(each) for each in lines]
    path.write_text("\n".join(texts) + "\n")
    return path


async def test_readings_come_at_their_times(tmp_path: Path, autojump_clock: MockClock) -> None:
    path = written(tmp_path, *DAY)
    sensors = [Replay(f"replay {kind.value}", path, kind) for kind in SensorKind]
    async with running(*sensors) as (hub, metrics):
        await trio.sleep(1)
        assert hub.position is not None
        assert (hub.position.latitude, hub.position.taken_ms) == (44.9, NOW_MS)
        assert hub.battery is not None
        assert (hub.battery.level_pct, hub.battery.power_w) == (90, 4.5)
        assert hub.age_s(SensorKind.COVERAGE) is None
        await trio.sleep(10)
        assert hub.coverage is not None
        assert (hub.coverage.bearer, hub.coverage.is_registered) == (CoverageBearer.FOUR_G, True)
        await trio.sleep(50)
        assert (hub.position.latitude, hub.position.taken_ms) == (44.91, NOW_MS + 60_000)
        assert hub.position.speed_m_s == 9
        await trio.sleep(30)
        assert (hub.coverage.bearer, hub.coverage.is_registered) == (CoverageBearer.NONE, False)
        assert {str(each.trouble) for each in hub.reports()} == {"the replay file is at its end"}
        assert not any(each.is_running for each in hub.reports())
        assert metrics.value("sensor_refusals") == metrics.value("rooms_restarted") == 0


BROKEN = [
    ("{", "sentence"),
    ("[]", "sentence"),
    ("x" * (REPLAY_LINE_BYTES_MAX + 1), "line"),
    ({"at_s": -1, "kind": "position"}, "at_s"),
    ({"at_s": REPLAY_S_MAX + 1, "kind": "position"}, "at_s"),
    ({"kind": "position"}, "at_s"),
    ('{"at_s": NaN, "kind": "position"}', "at_s"),
    ({"at_s": 0, "kind": "position", "latitude": 44.9}, "sentence"),
    ({"at_s": 0, "kind": "position", "latitude": 91, "longitude": 1}, "latitude"),
]


@pytest.mark.parametrize(("line", "reason"), BROKEN)
async def test_a_broken_line_is_refused_and_the_next_one_played(
    tmp_path: Path, autojump_clock: MockClock, line: object, reason: str
) -> None:
    path = written(tmp_path, line, DAY[0])
    target, passed = sink()
    await Replay("replay", path, SensorKind.POSITION).run(target)
    assert len(passed) == 1
    assert target.refused == 1


async def test_time_does_not_go_back(tmp_path: Path, autojump_clock: MockClock) -> None:
    target, passed = sink()
    path = written(tmp_path, DAY[3], DAY[0])
    await Replay("replay", path, SensorKind.POSITION).run(target)
    assert (len(passed), target.refused) == (1, 1)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("coverage", {"bearer": "6G"}),
        ("coverage", {"bearer": ["4G"]}),
        ("coverage", {"bearer": "4G", "is_registered": 1}),
        ("coverage", {"bearer": "4G", "operator": "a\u001b[2J"}),
        ("battery", {"level_pct": 50}),
        ("battery", {"level_pct": 50, "is_charging": "yes"}),
        ("battery", {"is_charging": True}),
    ],
)
async def test_wrong_fields_are_refused(
    tmp_path: Path, autojump_clock: MockClock, kind: str, fields: dict[str, object]
) -> None:
    target, passed = sink()
    path = written(tmp_path, {"at_s": 0, "kind": kind, **fields})
    await Replay("replay", path, SensorKind(kind)).run(target)
    assert (passed, target.refused) == ([], 1)


async def test_a_file_that_is_missing_or_too_long_is_told(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    target, _ = sink()
    long = tmp_path / "long"
    with long.open("wb") as file:
        file.truncate(REPLAY_BYTES_MAX + 1)
    for path in (tmp_path / "none", tmp_path, long):
        with pytest.raises(SensorError) as caught:
            await Replay("replay", path, SensorKind.POSITION).run(target)
        assert caught.value.reason == "missing"


@given(st.binary(max_size=200))
def test_any_line_is_an_object_or_the_named_error(line: bytes) -> None:
    with suppress(SensorError):
        assert isinstance(read_line_untrusted(line), dict)
