"""Energy by duty cycle: against sums done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sims.energy import EnergyFigures, account_energy, read_energy
from sims.scenario import ScenarioError
from sims.tables import read_table
from tests.sims.outcomes import outcome_of, region_of


def test_each_part_is_what_its_formula_gives() -> None:
    region = region_of(roles=("gateway", "relay", "agent", "leader"), duration_s=43_200.0)
    outcome = outcome_of(
        region,
        contact_s=[0, 7_200, 3_600, 1_800],
        sent_bytes=[0, 0, 1_000_000, 0],
        received_bytes=[0, 0, 500_000, 500_000],
    )
    figures = EnergyFigures(scan_j=1, scan_every_s=60, host_w=0.5, client_w=0.1, byte_j=1e-6)
    use = account_energy(outcome, region, figures)
    assert use.scan_j.tolist() == [1_440.0] * 4
    # Half a day of run, so all else counts double; a box is host all the time.
    assert use.host_j.tolist() == pytest.approx([0, 7_200, 1_800, 900])
    assert use.client_j.tolist() == pytest.approx([0, 0, 360, 180])
    assert use.byte_j.tolist() == pytest.approx([0, 0, 3, 1])
    assert use.per_day_j.tolist() == pytest.approx([1_440, 8_640, 3_603, 2_521])
    assert use.worst_node == 2
    assert use.worst_j == pytest.approx(3_603)
    assert use.mean_j == pytest.approx((3_603 + 2_521) / 2)
    assert use.worst_battery_share == pytest.approx(3_603 / 62_000)


def test_where_nobody_is_a_person_all_count() -> None:
    region = region_of(roles=("gateway", "relay"), duration_s=86_400.0)
    use = account_energy(outcome_of(region, contact_s=[0, 10]), region, EnergyFigures())
    assert use.worst_node == 1
    assert use.mean_j == pytest.approx(float(np.mean(use.per_day_j)))


def test_discovery_and_hosting_outweigh_bytes_at_usual_loads() -> None:
    region = region_of(roles=("agent",), duration_s=86_400.0)
    outcome = outcome_of(region, contact_s=[6 * 3_600], received_bytes=[6_000_000])
    use = account_energy(outcome, region, EnergyFigures())
    assert 432 <= use.scan_j[0] <= 2_160
    assert use.scan_j[0] + use.host_j[0] > 100 * use.byte_j[0]


def test_every_figure_is_a_setting() -> None:
    table = read_table(b"scan_every_s = 120\nhost_w = 1", "x.toml")
    assert read_energy(table) == EnergyFigures(scan_every_s=120, host_w=1)
    with pytest.raises(ScenarioError, match="line 1, host_share: is between 0 and 1"):
        read_energy(read_table(b"host_share = 2", "x.toml"))
