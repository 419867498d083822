"""Scenario files: what they become, and that every mistake in one is named."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.identity import Role
from sims.fleet import DevicePlan
from sims.reading import load_scenario, read_scenario
from sims.scenario import (
    DEVICES_MAX,
    ClockStep,
    Contact,
    Crash,
    ScenarioError,
    WrittenMessage,
)
from sims.scenario_files import about_of, included_scenarios, kind_of

WHOLE = """
about = "Everything once."
duration_s = 1000
[link]
latency_s = 0.5
rate_bytes_s = 1000
[[device]]
name = "a"
role = "gateway"
[[device]]
name = "b"
squads = ["S"]
[[contact]]
start_s = 1
end_s = 2
a = "a"
b = "b"
count = 2
every_s = 10
[[message]]
at_s = 5
from = "b"
to = "codt"
text = "hello"
priority = "low"
lifetime_s = 60
[[message]]
at_s = 6
from = "b"
to = "a"
text = "again"
count = 2
every_s = 3
[[crash]]
at_s = 7
device = "b"
down_s = 10
[[clock_step]]
at_s = 8
device = "a"
step_s = -5
"""

SMALL = 'about = "x"\nduration_s = 10\n[[device]]\nname = "a"\n[[device]]\nname = "b"\n'


def test_a_whole_file_is_read() -> None:
    scenario = read_scenario(WHOLE.encode(), "whole")
    assert (scenario.name, scenario.about) == ("whole", "Everything once.")
    assert (scenario.duration_s, scenario.latency_s, scenario.rate_bytes_s) == (1000, 0.5, 1000)
    assert scenario.devices == (
        DevicePlan("a", Role.GATEWAY),
        DevicePlan("b", Role.AGENT, ("S",)),
    )
    assert scenario.contacts == (Contact(1, 2, "a", "b"), Contact(11, 12, "a", "b"))
    assert scenario.messages == (
        WrittenMessage(5, "b", "codt", "hello", "low", 60),
        WrittenMessage(6, "b", "a", "again (1 of 2)"),
        WrittenMessage(9, "b", "a", "again (2 of 2)"),
    )
    assert scenario.crashes == (Crash(7, "b", 10),)
    assert scenario.clock_steps == (ClockStep(8, "a", -5),)


def test_what_is_not_said_has_its_default() -> None:
    scenario = read_scenario(SMALL.encode(), "small")
    assert (scenario.latency_s, scenario.rate_bytes_s) == (0.02, 1_000_000)
    assert (scenario.contacts, scenario.messages, scenario.crashes) == ((), (), ())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("= 1", "is not TOML"),
        ("[[contact]]\nstart_s = 1\nend_s = 2\na = 'a'\n", "contact 1.b: is missing"),
        ("[[contact]]\nstart_s = 1\nend_s = 2\na = 'a'\nb = 'c'", "no device is called 'c'"),
        ("[[contact]]\nstart_s = 2\nend_s = 2\na = 'a'\nb = 'b'", "ends before it begins"),
        ("[[contact]]\nstart_s = 2\nend_s = nan\na = 'a'\nb = 'b'", "ends before it begins"),
        ("[[contact]]\nstart_s = 11\nend_s = 12\na = 'a'\nb = 'b'", "contact 1: its time"),
        ("[[contact]]\nstart_s = nan\nend_s = 12\na = 'a'\nb = 'b'", "contact 1: its time"),
        ("[[contact]]\nstart_s = true\nend_s = 12\na = 'a'\nb = 'b'", "start_s: is a number"),
        ("[[contact]]\nstart_s = 1\nend_s = 2\na = 'a'\nb = 'a'", "does not meet itself"),
        ("[[contact]]\nstart_s = 1\nend_s = 2\na = 'a'\nb = 'b'\ncount = 0", "count: is between"),
        (
            "[[contact]]\nstart_s = 1\nend_s = 2\na = 'a'\nb = 'b'\ncount = 2\nevery_s = 0.5",
            "those of a and b overlap at 1.5 s",
        ),
        ("[[contact]]\nstart_s = 1\nend_s = 2\na = 'a'\nb = 'b'\nspeed = 1", "contact 1.speed"),
        ("[[message]]\nat_s = 1\nfrom = 'x'\nto = 'a'\ntext = 't'", "message 1: no device"),
        ("[[message]]\nat_s = -1\nfrom = 'a'\nto = 'b'\ntext = 't'", "message 1: its time"),
        ("[[message]]\nat_s = 1\nfrom = 'a'\nto = 'b'\ntext = 5", "text: is a text in quotes"),
        (
            "[[message]]\nat_s = 1\nfrom = 'a'\nto = 'b'\ntext = 't'\npriority = 'high'",
            "priority is sos, normal or low",
        ),
        (
            "[[message]]\nat_s = 1\nfrom = 'a'\nto = 'b'\ntext = 't'\nlifetime_s = 1.5",
            "lifetime_s: is a whole number",
        ),
        ("[[crash]]\nat_s = 1\ndevice = 'a'\ndown_s = 9.9", "off for at least 10 s"),
        ("[[crash]]\nat_s = 1\ndevice = 'a'\ndown_s = nan", "off for at least 10 s"),
        ("[[crash]]\nat_s = 1\ndevice = 'z'\ndown_s = 10", "crash 1: no device"),
        (
            "[[crash]]\nat_s = 1\ndevice = 'a'\ndown_s = 10\n"
            "[[crash]]\nat_s = 5\ndevice = 'a'\ndown_s = 10",
            "crash 2: those of a overlap",
        ),
        ("[[clock_step]]\nat_s = 1\ndevice = 'a'\nstep_s = inf", "step_s is at most"),
        ("[[clock_step]]\nat_s = 1\ndevice = 'q'\nstep_s = 1", "clock_step 1: no device"),
        ("[[device]]\nname = 'a'", "'a' is empty or given to two devices"),
        ("[[device]]\nname = 'c'\nrole = 'king'", "device 3.role: is one of agent"),
        ("[[device]]\nname = 'c'\nsquads = 'S'", "squads: is a list of texts"),
        ("[[device]]\nname = 'c'\nsquads = [1]", "squads: is a list of texts"),
        ("[link]\nlatency_s = 61", "link.latency_s: is between"),
        ("[link]\nrate_bytes_s = 99", "link.rate_bytes_s: is between"),
        ("[link]\nmtu = 5", "link.mtu: is unknown"),
        ("[weather]\nrain = true", "small.toml line 7, weather: is unknown"),
    ],
)
def test_a_mistake_is_named(more: str, words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read_scenario(f"{SMALL}{more}\n".encode(), "small")
    assert words in str(caught.value)
    assert caught.value.place in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "about: is missing"),
        ('about = "x"', "duration_s: is missing"),
        ('about = "x"\nduration_s = 0\n[[device]]\nname = "a"', "duration_s: is between"),
        ('about = "x"\nduration_s = 5', "between 1 and"),
        ('about = "x"\nduration_s = 5\ndevice = 3', "write [[device]]"),
        ('about = "x"\nduration_s = 5\nlink = 3', "write [link]"),
    ],
)
def test_a_mistake_at_the_top_is_named(text: str, words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read_scenario(text.encode(), "small")
    assert words in str(caught.value)


def test_bounds_hold_at_the_limit_and_not_one_above() -> None:
    head = 'about = "x"\nduration_s = 10\n'
    devices = [f'[[device]]\nname = "{number}"\n' for number in range(DEVICES_MAX + 1)]
    assert len(read_scenario((head + "".join(devices[:-1])).encode(), "x").devices) == DEVICES_MAX
    with pytest.raises(ScenarioError, match="devices"):
        read_scenario((head + "".join(devices)).encode(), "x")
    many = f"{SMALL}[[message]]\nat_s = 0\nevery_s = 0\nfrom = 'a'\nto = 'b'\ntext = 't'\ncount = "
    assert len(read_scenario(f"{many}10000".encode(), "x").messages) == 10_000
    with pytest.raises(ScenarioError, match="count"):
        read_scenario(f"{many}10001".encode(), "x")
    more = many.removeprefix(SMALL)
    with pytest.raises(ScenarioError, match="more than 20000 events"):
        read_scenario(f"{many}10000\n{more}10000\n{more}1".encode(), "x")
    with pytest.raises(ScenarioError, match="bytes"):
        read_scenario(SMALL.encode().ljust(1_000_001), "x")


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ("\n= 1", "small.toml line 8"),
        ("x = '\\u0000", "small.toml line 7"),
        ("x = [", "small.toml line 7"),
        ("[link]\n# slow\nlatency_s = 61", "small.toml line 9, link.latency_s"),
        ("[link]\nlatency_s = 1\nmtu = 5", "small.toml line 9, link.mtu"),
        ("link = {latency_s = '1'}", "small.toml line 7, device 2.link"),
        ("[[device]]\nname = 'c'\n[[device]]\nname = 'a'", "small.toml line 9, device 4"),
        ("[[device]]\nname = 'c'\nsquads = [\n'S',\n1]", "small.toml line 11, device 3.squads"),
        ("[[crash]]\nat_s = 1\ndevice = 'a'", "small.toml line 7, crash 1.down_s"),
        ("[[crash]]\nat_s = 99\ndevice = 'a'\ndown_s = 10", "small.toml line 7, crash 1"),
    ],
)
def test_a_mistake_has_its_line(more: str, place: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read_scenario(f"{SMALL}{more}\n".encode(), "small")
    assert caught.value.place == place


@given(wrong=st.integers(0, 7), counts=st.lists(st.integers(1, 3), min_size=8, max_size=8))
def test_the_contact_that_is_wrong_is_named_with_its_line(wrong: int, counts: list[int]) -> None:
    text, expected, counts[0] = SMALL, 0, 3
    for number, count in enumerate(counts):
        line = text.count("\n") + 1
        start = number if number != wrong else 0.25 if wrong else 99
        text += f"[[contact]]\nstart_s = {start}\nend_s = {start + 0.1}\na = 'a'\nb = 'b'\n"
        text += f"count = {count}\nevery_s = 0.2\n"
        expected = line if number == wrong else expected
    with pytest.raises(ScenarioError) as caught:
        read_scenario(text.encode(), "small")
    assert caught.value.place == f"small.toml line {expected}, contact {wrong + 1}"


def test_what_is_no_text_or_too_deep_is_named_with_its_line() -> None:
    with pytest.raises(ScenarioError, match=r"small\.toml line 7: is not text"):
        read_scenario(SMALL.encode() + b"\xff\n", "small")
    with pytest.raises(ScenarioError, match="nested too deeply"):
        read_scenario(f"{SMALL}x = {'[' * 5000}".encode(), "small")
    with pytest.raises(ScenarioError, match="is not TOML"):
        read_scenario(f"x = {'1' * 5000}".encode(), "small")
    with pytest.raises(ScenarioError, match="line 2, duration_s: is between"):
        read_scenario(f"about = 'x'\nduration_s = {'1' * 400}".encode(), "small")


@given(st.binary(max_size=200))
def test_any_bytes_give_a_scenario_or_the_named_error(raw: bytes) -> None:
    with suppress(ScenarioError):
        assert read_scenario(raw, "any").devices


def test_scenarios_are_found_by_name_and_by_file(tmp_path: Path) -> None:
    assert {"two_nodes", "mountain_pass", "port_call"} <= set(included_scenarios())
    for name in included_scenarios("real"):
        assert load_scenario(name).name == name
    file = tmp_path / "mine.toml"
    file.write_text(SMALL)
    assert load_scenario(str(file)).name == "mine"
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_scenario(str(tmp_path / "missing.toml"))
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_scenario("a\0b.toml")
    with pytest.raises(ScenarioError, match=r"nowhere: is unknown: name a file, .*mountain_pass"):
        load_scenario("nowhere")


def test_a_file_of_a_region_is_told_from_one_of_real_nodes(tmp_path: Path) -> None:
    assert set(included_scenarios()) == {
        *included_scenarios("real"),
        *included_scenarios("region"),
    }
    assert kind_of("two_nodes") == "real"
    assert about_of("two_nodes").startswith("Two devices")
    file = tmp_path / "mine.toml"
    file.write_text(f"{SMALL}[city]\n")
    assert kind_of(str(file)) == "region"
    with pytest.raises(ScenarioError, match="line 7, city: describes a region"):
        load_scenario(str(file))
