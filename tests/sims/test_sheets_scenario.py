"""Reflex sheets over contacts that break, with two carriers and power cuts: real nodes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.sheets import sheet_id_of
from sims.checkers import check_world
from sims.faults import Faults
from sims.reading import load_scenario
from sims.record import SheetsHeld, WorldRecord
from sims.sheet_checkers import retracted_destroyed
from sims.world import run_world

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def record() -> WorldRecord:
    return run_world(load_scenario("sheets_over_a_pass"), 3)


def test_the_newest_arrives_and_what_was_retracted_is_nowhere(record: WorldRecord) -> None:
    assert check_world(record) == []
    by_name = {device.name: device.sheets for device in record.devices}
    for name in ("codt", "anna", "bruno"):
        assert by_name[name].whole == {"homme-a-la-mer": 2}, name
        assert by_name[name].retracted == {sheet_id_of("fouille"): 1}, name
        assert by_name[name].stray_pieces == 0, name
    for name in ("car", "van"):
        assert by_name[name] == SheetsHeld({}, {}, 0), "it carries what it cannot read"
    assert {e.node for e in record.lines if e.event == "power_cut"} == {"anna", "car"}


def test_under_faults_nobody_opens_what_it_knows_to_be_retracted() -> None:
    faults = Faults(crashes=3, torn_writes=2, partitions=2, hostile_devices=1)
    scenario = replace(load_scenario("sheets_over_a_pass"), faults=faults)
    assert check_world(run_world(scenario, 4)) == []


def test_the_checker_bites(record: WorldRecord) -> None:
    anna = next(device for device in record.devices if device.name == "anna")
    for held in (
        replace(anna.sheets, whole={"fouille": 1}),
        replace(anna.sheets, stray_pieces=2),
    ):
        broken = replace(record, devices=(replace(anna, sheets=held),))
        assert [name for name, _what in retracted_destroyed(broken)] == ["anna"]
