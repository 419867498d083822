"""`run`, `oracle`, `replay` and `report` on regions and traces."""

from __future__ import annotations

import csv

import pytest

from tests.sims.commands.parts import CONTACTS, MESSAGES, NODES, REGION, Person

KEYS = (
    *("schema", "messages", "delivered", "delivered_urgent", "delivered_normal"),
    *("delivered_bulk", "overhead", "delay_median_s", "cpu_seconds", "digest"),
)


@pytest.mark.slow
def test_a_trace_gives_its_figures_in_their_order(person: Person) -> None:
    words = ["run", *person.trace(), "--buffer", "5000000", "--rate", "1000", "--json"]
    found = person.gives(*words, "--policy", "epidemic").json
    assert tuple(found)[: len(KEYS)] == KEYS
    assert (found["messages"], found["delivered"]) == (3, pytest.approx(2 / 3))
    assert (found["delivered_urgent"], found["delivered_normal"]) == (1.0, 0.5)
    assert found["delivered_bulk"] is None
    # The first goes over in 1 s; the second waits for the contact of its two ends, then takes 2 s.
    assert found["delay_median_s"] == pytest.approx((1.0 + 32.0) / 2)
    assert found["overhead"] == (found["transfers"] - 2) / 2
    assert found["policy"] == "epidemic"
    assert found["fates"]["delivered"] == 2
    assert found["oracle"] == found["delivered"]
    assert found["of_oracle"] == 1.0
    assert found["report"] is None
    again = person.gives(*words, "--policy", "epidemic").json
    assert again["digest"] == found["digest"] != person.gives(*words).json["digest"]
    direct = person.gives(*words, "--policy", "direct").json
    assert (direct["transfers"], direct["overhead"]) == (2, 0.0)


@pytest.mark.slow
def test_ours_has_two_names(person: Person) -> None:
    words = ["run", *person.trace(), "--json", "--policy"]
    ours, node = person.gives(*words, "gain").json, person.gives(*words, "meshnode").json
    assert ours["policy"] == node["policy"] == "gain"
    assert ours["digest"] == node["digest"]


@pytest.mark.slow
def test_a_trace_without_events_has_no_figures(person: Person) -> None:
    contacts = person.file("contacts.csv", CONTACTS.splitlines()[0] + "\n")
    messages = person.file("messages.csv", MESSAGES.splitlines()[0] + "\n")
    found = person.gives("run", "--contacts", contacts, "--messages", messages, "--json").json
    assert found["messages"] == 0
    assert [found[key] for key in KEYS[2:8]] == [None] * 6
    assert found["energy"] is None


@pytest.mark.slow
def test_people_read_a_table_and_sentences(person: Person) -> None:
    nodes = person.file("nodes.csv", NODES)
    said = person.gives("run", *person.trace(), "--nodes", nodes, "--no-report")
    assert said.code == 0
    assert "6 nodes (gateways: 1, relays: 1 and agents: 4)" in said.out
    assert "2 · 66.7%" in said.out
    assert "What to change" in said.out
    assert list(person.folder.glob("*.html")) == []
    french = person.gives("run", *person.trace(), "--language", "fr")
    assert "Que changer" in french.out


@pytest.mark.slow
def test_a_region_gets_a_report_unless_nobody_wants_one(person: Person) -> None:
    name = person.file("two_ports.toml", REGION)
    said = person.gives("run", name)
    assert said.code == 0
    assert said.out.splitlines()[-1] == "report: two_ports-report.html"
    page = (person.folder / "two_ports-report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    (person.folder / "two_ports-report.html").unlink()
    first = person.gives("run", name, "--json").json
    assert (first["scenario"], first["seed"]) == ("two_ports", 1)
    other = person.gives("run", name, "--seed", "2", "--json", "--report", "page").json
    assert other["digest"] != first["digest"]
    assert other["report"] == "page/index.html"
    assert "report:" not in person.gives("run", name, "--no-report").out
    assert list(person.folder.glob("*.html")) == []
    small = person.gives("run", name, "--json", "--buffer", "2000", "--copies", "2").json
    assert small["buffer_bytes"] == 2000


@pytest.mark.slow
def test_the_oracle_says_what_was_possible(person: Person) -> None:
    words = ["oracle", *person.trace()]
    found = person.gives(*words, "--json").json
    assert (found["messages"], found["messages_delivered"]) == (3, 2)
    assert found["delivered"] == pytest.approx(2 / 3)
    assert (found["delivered_urgent"], found["delivered_bulk"]) == (1.0, None)
    assert found["delay_median_s"] == pytest.approx(15.0)
    # At 20 bytes a second the second message does not fit into any contact of its ends.
    slow = person.gives(*words, "--rate", "20", "--json").json
    assert (slow["delay_median_s"], slow["messages_delivered"]) == (50.0, 1)
    said = person.gives(*words)
    assert "urgent  1         100.0 %" in said.out
    assert "bulk    0         -" in said.out
    region = person.file("two_ports.toml", REGION)
    assert person.gives("oracle", region, "--json").json["scenario"] == "two_ports"


@pytest.mark.slow
def test_a_replay_tells_the_fate_of_each_message(person: Person) -> None:
    name = person.file("two_ports.toml", REGION)
    run = person.gives("run", name, "--seed", "3", "--json", "--policy", "spray").json
    words = ["replay", name, "--seed", "3", "--policy", "spray"]
    found = person.gives(*words, "--json").json
    assert found["digest"] == run["digest"]
    assert len(found["fates_of"]) == found["messages"] > 0
    said = person.gives(*words, "--trace", "fates.csv")
    assert run["digest"] in said.out
    with (person.folder / "fates.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(row["fate"] == "delivered" for row in rows) == run["messages_delivered"]
    for row in rows:
        assert (row["fate"] == "delivered") == (row["arrived_s"] != "")
    table = person.gives(*words).out.splitlines()
    assert table[0].split()[:4] == ["message", "class", "from", "to"]
    assert len(table) == len(rows) + 1


@pytest.mark.slow
def test_a_report_shows_policies_side_by_side(person: Person) -> None:
    name = person.file("two_ports.toml", REGION)
    said = person.gives("report", name, "--policy", "gain", "--policy", "direct", "--json")
    page = person.folder / said.json["report"]
    assert page.name == "two_ports-report.html"
    assert "Policies side by side" in page.read_text()
    assert person.gives("report", name, "--output", "other.html").out == "report: other.html\n"


# --- what does not go together -------------------------------------------------------------------


def test_a_scenario_or_a_trace(person: Person) -> None:
    neither_nor_both = "name a scenario, or --contacts and --messages, and not both"
    for command in ("run", "oracle"):
        assert neither_nor_both in person.is_refused(command)
        assert neither_nor_both in person.is_refused(command, "vosges", *person.trace())
        only = person.is_refused(command, *person.trace()[:2])
        assert "--contacts and --messages go together" in only
    assert "--nodes belongs to --contacts" in person.is_refused("run", "vosges", "--nodes", "n.csv")


def test_files_are_named_with_the_line(person: Person) -> None:
    contacts = person.file("contacts.csv", f"{CONTACTS}100,90,0,1\n")
    messages = person.file("messages.csv", MESSAGES)
    words = ["run", "--contacts", contacts, "--messages", messages]
    assert "contacts.csv line 5" in person.is_refused(*words)
    missing = person.is_refused("run", "--contacts", "nowhere.csv", "--messages", messages)
    assert "nowhere.csv: cannot be read" in missing
    bad = person.file("bad.csv", f"{MESSAGES}broken,1\n")
    assert "bad.csv line 5" in person.is_refused("run", *person.trace()[:2], "--messages", bad)
    short = person.file("nodes.csv", "id,role,group\n0,pilot,\n")
    assert "nodes.csv line 2" in person.is_refused("run", *person.trace(), "--nodes", short)


def test_an_unknown_policy_names_the_known(person: Person) -> None:
    for words in (["run", *person.trace()], ["replay", "vosges"], ["report", "vosges"]):
        said = person.is_refused(*words, "--policy", "maxprop")
        assert "direct, epidemic, spray, prophet, gain" in said


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["run", "vosges", "--faults", "loss=0.1"], "--faults is for real nodes"),
        (["run", "vosges", "--links", "tls"], "--links is for real nodes"),
        (["run", "vosges", "--sealer", "hpke"], "--sealer is for real nodes"),
        (["run", "vosges", "--trace", "trace"], "--trace is for real nodes"),
        (["run", "vosges", "--seeds", "2"], "--seeds is for real nodes"),
        (["run", "two_nodes", "--policy", "gain"], "--policy is for regions"),
        (["run", "two_nodes", "--buffer", "1"], "--buffer is for regions"),
        (["run", "two_nodes", "--report", "x.html"], "--report is for regions"),
        (["run", "vosges", "--report", "x.html", "--no-report"], "do not go together"),
        (["run", "vosges", "--buffer", "-1"], "see 'meshnode-sim run --help'"),
        (["run", "vosges", "--rate", "nan"], "see 'meshnode-sim run --help'"),
        (["replay", "vosges", "--links", "tls"], "--links is for real nodes"),
        (["replay", "two_nodes", "--rate", "1"], "--rate is for regions"),
        (["oracle", "two_nodes"], "describes no region"),
        (["report", "two_nodes"], "runs real nodes"),
        (["report", "nowhere"], "is unknown: name a file"),
        (["replay", "nowhere"], "is unknown: name a file"),
        (["report", ".", "--policy", "gain"], "are for regions"),
        (["report", "."], "campaign.json: cannot be read"),
    ],
)
def test_what_does_not_go_together_is_told(person: Person, words: list[str], reason: str) -> None:
    assert reason in person.is_refused(*words)


@pytest.mark.slow
def test_a_report_that_cannot_be_written_is_told(person: Person) -> None:
    said = person.gives("run", *person.trace(), "--report", "no/where.html")
    assert said.code == 2
    assert "cannot be written" in said.err
