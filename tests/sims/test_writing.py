"""A scenario that is written is read again as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.identity import Role
from protocol.limits import STORE_BYTES_DEFAULT
from sims.chaos import random_scenario
from sims.faults import Faults
from sims.fleet import DevicePlan
from sims.reading import read_scenario
from sims.scenario import ClockStep, Contact, Crash, Scenario, ShiftPlan, WrittenMessage
from sims.writing import scenario_to_toml

_NAMES = ("gateway", 'a "quoted" \\ name', "é\x7f\t\n\x00漢")
_texts = st.text(st.characters(codec="utf-8"), max_size=30)
_times = st.floats(0, 1_000)
_names = st.sampled_from(_NAMES)
_faults = st.builds(
    Faults,
    crashes=st.integers(0, 1_000),
    torn_writes=st.integers(0, 3),
    drift_ppm=st.floats(0, 1_000),
    loss=st.floats(0, 0.9),
    mtu_bytes=st.just(0) | st.integers(64, 65_536),
)
_contacts = st.lists(
    st.tuples(st.floats(0, 900), st.floats(900.5, 5_000)).map(
        lambda each: Contact(each[0], each[1], _NAMES[0], _NAMES[2])
    ),
    max_size=1,
)
_messages = st.lists(
    st.builds(
        WrittenMessage,
        _times,
        _names,
        _texts,
        _texts,
        st.sampled_from(["sos", "normal", "low"]),
        st.none() | st.integers(1, 10**9),
    ),
    max_size=3,
)
_crashes = st.lists(st.builds(Crash, _times, _names, st.floats(10, 1e6)), max_size=1)
_shifts = st.lists(
    st.builds(
        ShiftPlan,
        st.floats(0, 400),
        st.floats(401, 1_000),
        st.just(_NAMES[2]),
        st.floats(0, 100),
        st.sampled_from([(), tuple(_NAMES)]),
    ),
    max_size=1,
)
_steps = st.lists(st.builds(ClockStep, _times, _names, st.floats(-1e6, 1e6)), max_size=2)


@pytest.mark.slow
@given(
    st.builds(
        Scenario,
        name=st.just("any"),
        about=_texts,
        duration_s=st.floats(1_000, 1e7),
        devices=st.just(
            (
                DevicePlan(_NAMES[0], Role.GATEWAY),
                DevicePlan(_NAMES[1], Role.RELAY, ("A", "'B'")),
                DevicePlan(_NAMES[2], Role.AGENT, ("é",)),
            )
        ),
        contacts=_contacts.map(tuple),
        hearings=_contacts.map(tuple),
        messages=_messages.map(tuple),
        crashes=_crashes.map(tuple),
        clock_steps=_steps.map(tuple),
        shifts=_shifts.map(tuple),
        latency_s=st.floats(0, 60),
        rate_bytes_s=st.floats(100, 1e9),
        store_bytes=st.integers(100_000, STORE_BYTES_DEFAULT),
        faults=_faults,
    )
)
def test_what_is_written_is_read_again(scenario: Scenario) -> None:
    assert read_scenario(scenario_to_toml(scenario).encode(), scenario.name) == scenario


def test_a_whole_day_is_read_again() -> None:
    scenario = replace(random_scenario(3), name="day")
    assert read_scenario(scenario_to_toml(scenario).encode(), "day") == scenario
