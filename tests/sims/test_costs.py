"""Satellite and LoRa: against figures that others published, and sums done by hand."""

from __future__ import annotations

from math import ceil, inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.costs import (
    PRESETS,
    LoraFigures,
    LoraPreset,
    SatelliteFigures,
    account_costs,
    airtime_s,
    message_airtime_s,
    read_lora,
    read_satellite,
    satellite_units,
)
from sims.scenario import ScenarioError
from sims.tables import read_table
from tests.sims.outcomes import outcome_of, region_of


@pytest.mark.parametrize(
    ("payload_bytes", "published_s"), [(20, 0.52), (50, 0.72), (100, 1.13), (237, 2.12)]
)
def test_airtime_of_a_long_range_packet_is_as_published(
    payload_bytes: int, published_s: float
) -> None:
    assert airtime_s(PRESETS["LongFast"], payload_bytes + 16, 16) == pytest.approx(
        published_s, abs=0.005
    )


def test_airtime_by_hand() -> None:
    # 8.192 ms a symbol; ceil((288 - 44 + 28 + 16) / 44) = 7 blocks of 5, and 8 + 20.25.
    assert airtime_s(PRESETS["LongFast"], 36, 16) == pytest.approx((20.25 + 43) * 0.008192)
    # 16.384 ms a symbol, so two bits less in each: ceil(288 / 36) = 8 blocks of 8.
    assert airtime_s(PRESETS["LongModerate"], 36, 16) == pytest.approx((20.25 + 72) * 0.016384)
    # With 8 symbols of preamble, 10 bytes at SF 7 and 125 kHz: a common example, 41.2 ms.
    assert airtime_s(LoraPreset(7, 125_000, 5), 10, 8) == pytest.approx(0.0412, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "kbit_s"),
    [("ShortFast", 10.94), ("MediumFast", 3.52), ("LongFast", 1.07), ("LongModerate", 0.34)],
)
def test_presets_have_the_rates_that_are_published(name: str, kbit_s: float) -> None:
    preset = PRESETS[name]
    rate = preset.spreading_factor / preset.symbol_s * 4 / preset.coding_rate / 1e3
    assert rate == pytest.approx(kbit_s, abs=0.005)


def test_an_hour_takes_170_full_packets_and_a_photo_takes_most_of_nine() -> None:
    full_s = airtime_s(PRESETS["LongFast"], 253, 16)
    assert int(0.1 * 3_600 / full_s) == 170
    photo = np.array([350_000])
    assert message_airtime_s(photo, LoraFigures())[0] / 360 == pytest.approx(8.7, abs=0.05)
    medium = LoraFigures(preset="MediumFast")
    assert message_airtime_s(photo, medium)[0] / 360 == pytest.approx(2.6, abs=0.1)


@given(size=st.integers(1, 5_000), payload=st.integers(1, 237))
def test_a_message_takes_the_airtime_of_its_packets(size: int, payload: int) -> None:
    figures = LoraFigures(payload_bytes=payload)
    packets = [min(payload, size - sent) for sent in range(0, size, payload)]
    expected = sum(airtime_s(PRESETS["LongFast"], each + 16, 16) for each in packets)
    found = message_airtime_s(np.array([size]), figures)
    assert found.tolist() == [pytest.approx(expected)]


def test_satellite_bills_by_steps_and_sessions() -> None:
    sizes = np.array([0, 1, 50, 51, 340, 341, 680, 1_000])
    assert satellite_units(sizes, 340, 50).tolist() == [1, 1, 1, 2, 7, 8, 14, 21]
    assert satellite_units(np.array([270, 271]), 270, 50).tolist() == [6, 7]
    # 340 bytes at 0.16 a step: 1.1, as price lists have it.
    full = satellite_units(np.array([340]), 340, 50) * 0.16
    assert full[0] == pytest.approx(1.1, abs=0.03)


@given(size=st.integers(0, 5_000), most=st.integers(1, 400), unit=st.integers(1, 60))
def test_units_are_those_of_the_sessions_one_by_one(size: int, most: int, unit: int) -> None:
    sessions = [min(most, size - sent) for sent in range(0, size, most)] or [0]
    expected = sum(max(1, ceil(each / unit)) for each in sessions)
    assert satellite_units(np.array([size]), most, unit).tolist() == [expected]


MESSAGES = [
    # Up, delivered; up, late; up, missed; down, missed; between two, missed; not urgent, missed.
    (0.0, 1, 0, 100, 86_400.0, 0),
    (0.0, 1, 0, 340, 86_400.0, 0),
    (10.0, 2, 0, 60, 86_400.0, 0),
    (20.0, 0, 1, 540, 86_400.0, 0),
    (30.0, 1, 2, 40, 86_400.0, 0),
    (40.0, 1, 2, 4_000_000, 86_400.0, 2),
]


def test_what_the_mesh_did_not_bring_is_billed_by_its_way() -> None:
    region = region_of(("gateway", "agent", "agent"), 86_400.0, MESSAGES)
    outcome = outcome_of(region, delivered_s=[100, 7_300, nan, nan, nan, nan])
    account = account_costs(outcome, region, SatelliteFigures(unit_euros=0.2), LoraFigures())
    assert (account.urgent, account.urgent_missed) == (5, 3)
    # 60 up: 2. 540 down, two sessions of 270: 6 + 6. 40 up and down: 1 + 1.
    assert account.satellite_units == 16
    assert account.satellite_euros == pytest.approx(3.2)
    assert account.satellite_session_s == 5 * 40
    late = SatelliteFigures(unit_euros=0.2, urgent_within_s=7_200)
    account = account_costs(outcome, region, late, LoraFigures())
    assert (account.urgent_missed, account.satellite_units) == (4, 23)


def test_airtime_is_set_against_what_each_node_may_send_in_each_hour() -> None:
    one_s = airtime_s(PRESETS["LongFast"], 237 + 16, 16)
    burst = [(float(number), 1, 0, 237, 9.0, 1) for number in range(171)]
    more = [(3_600.0 + number, 2, 0, 237, 9.0, 1) for number in range(170)]
    region = region_of(("gateway", "agent", "agent"), 86_400.0, [*burst, *more, MESSAGES[-1]])
    account = account_costs(outcome_of(region), region, SatelliteFigures(), LoraFigures())
    assert account.lora_messages == 341
    assert account.lora_airtime_s == pytest.approx(341 * one_s)
    assert account.lora_worst_share == pytest.approx(171 * one_s / 360)
    assert account.lora_worst_share > 1 > 170 * one_s / 360
    assert (account.lora_worst_node, account.lora_hours_over) == (1, 1)


def test_a_run_without_messages_costs_nothing() -> None:
    region = region_of(("gateway", "agent"), 86_400.0)
    account = account_costs(outcome_of(region), region, SatelliteFigures(), LoraFigures())
    assert (account.urgent, account.satellite_units, account.lora_messages) == (0, 0, 0)
    assert (account.lora_worst_share, account.lora_worst_node) == (0.0, -1)
    assert account.satellite_euros < inf


def test_every_figure_is_a_setting() -> None:
    table = read_table(b"unit_euros = 0.4\nurgent_within_s = 60", "x.toml")
    assert read_satellite(table) == SatelliteFigures(unit_euros=0.4, urgent_within_s=60)
    table = read_table(b"preset = 'MediumFast'\nduty_share = 0.01", "x.toml")
    assert read_lora(table) == LoraFigures("MediumFast", duty_share=0.01)
    with pytest.raises(ScenarioError, match="line 1, preset: is one of LongFast"):
        read_lora(read_table(b"preset = 'Fastest'", "x.toml"))
    with pytest.raises(ScenarioError, match="line 1, unit_bytes: is between 1 and"):
        read_satellite(read_table(b"unit_bytes = 0", "x.toml"))
