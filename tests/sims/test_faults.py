"""The record of faults: its bounds, its two written forms."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.faults import (
    NO_FAULTS,
    FaultError,
    Faults,
    describe_faults,
    parse_faults,
    read_faults,
)
from sims.scenario import ScenarioError
from sims.tables import read_table

SHARES = st.floats(0, 0.9)
SOME = st.builds(
    Faults,
    crashes=st.integers(0, 1_000),
    torn_writes=st.integers(0, 1_000),
    full_disks=st.integers(0, 9),
    clock_jumps=st.integers(0, 9),
    drift_ppm=st.floats(0, 1_000),
    partitions=st.integers(0, 9),
    hostile_devices=st.integers(0, 9),
    lost_devices=st.integers(0, 9),
    loss=SHARES,
    corruption=SHARES,
    slow_links=SHARES,
    jitter_s=st.floats(0, 60),
    mtu_bytes=st.one_of(st.just(0), st.integers(64, 65_536)),
)


@given(SOME)
def test_the_written_form_says_all(faults: Faults) -> None:
    assert parse_faults(describe_faults(faults)) == faults


@given(SOME)
def test_a_table_says_all(faults: Faults) -> None:
    lines = [f"{each.name} = {getattr(faults, each.name)!r}" for each in fields(Faults)]
    table = read_table("\n".join(["[faults]", *lines]).encode(), "some.toml").table("faults")
    assert read_faults(table) == faults


def test_what_is_not_said_is_off() -> None:
    assert read_faults(read_table(b"", "none.toml").table("faults")) == NO_FAULTS
    assert parse_faults("") == NO_FAULTS == Faults()
    assert describe_faults(NO_FAULTS) == ""
    assert describe_faults(Faults(crashes=2, loss=0.5)) == "crashes=2,loss=0.5"


@pytest.mark.parametrize("each", [each.name for each in fields(Faults)])
def test_every_fault_has_bounds(each: str) -> None:
    for wrong in (-1, 10**9):
        with pytest.raises(FaultError, match=each):
            Faults(**{each: wrong})


def test_nothing_is_not_a_number() -> None:
    with pytest.raises(FaultError, match="loss"):
        Faults(loss=float("nan"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("crash=2", "'crash' is unknown; known are clock_jumps"),
        ("crashes", "'crashes' is not NAME=NUMBER"),
        ("crashes=2.5", "not NAME=NUMBER"),
        ("loss=much", "not NAME=NUMBER"),
        ("loss=2", "loss is between 0 and 0.9"),
        ("mtu_bytes=63", "mtu_bytes is 0, or between 64 and 65536"),
    ],
)
def test_a_wrong_text_is_explained(text: str, words: str) -> None:
    with pytest.raises(FaultError, match=words):
        parse_faults(text)


@pytest.mark.parametrize(
    "line", ["crash = 1", "crashes = 1.5", "loss = 'much'", "loss = 2", "crashes = -1"]
)
def test_a_wrong_table_names_its_line(line: str) -> None:
    raw = f"[faults]\njitter_s = 1\n{line}\n".encode()
    with pytest.raises(ScenarioError, match=r"wrong\.toml line 3"):
        read_faults(read_table(raw, "wrong.toml").table("faults"))
