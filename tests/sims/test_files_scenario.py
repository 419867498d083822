"""Files over contacts that break, with two carriers and power cuts: real nodes, every checker."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from sims.checkers import check_world
from sims.reading import load_scenario
from sims.record import DeviceRecord
from sims.world import run_world

pytestmark = pytest.mark.slow


def files(device: DeviceRecord) -> list[tuple[int, str, int]]:
    """Return of each file of a device whether it is its own, its state and its size."""
    with closing(sqlite3.connect(":memory:")) as connection:
        # Without its log, as a plain file: bytes 18 and 19 say so.
        connection.deserialize(device.image[:18] + b"\1\1" + device.image[20:])
        query = "SELECT is_own, state, size_bytes FROM attachment ORDER BY is_own, size_bytes"
        return [tuple(row) for row in connection.execute(query)]


def test_both_files_arrive_whole_and_nothing_else_suffers() -> None:
    record = run_world(load_scenario("photos_over_broken_contacts"), 3)
    assert check_world(record) == []
    by_name = {device.name: device for device in record.devices}
    assert files(by_name["bruno"]) == [(0, "complete", 1_500_000), (1, "complete", 300_000)]
    assert files(by_name["anna"]) == [(0, "complete", 300_000), (1, "complete", 1_500_000)]
    assert files(by_name["car"]) == files(by_name["van"]) == []
