"""`campaign`, `compare` and `report` on campaigns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sims.campaign import runner
from sims.campaign.results import CampaignResults, read_results
from tests.sims.commands.parts import CAMPAIGN, CONTACTS, MESSAGES, Person, Said, run_apart

BOTH = '["spray", "gain"]'


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """Return a folder with a campaign that was run, and what that said."""
    folder = tmp_path_factory.mktemp("campaigns")
    write(folder)
    said = run_apart(folder, "campaign", "policies.toml", "--workers", "1", "--json")
    assert said.code == 0, said.err
    return folder, said


def write(folder: Path) -> None:
    """Write a trace and a campaign on it."""
    (folder / "contacts.csv").write_text(CONTACTS)
    (folder / "messages.csv").write_text(MESSAGES)
    (folder / "policies.toml").write_text(CAMPAIGN)


def told(results: CampaignResults, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next campaign come to `results` at once."""

    def run(*_given: Any, **_named: Any) -> CampaignResults:
        return results

    monkeypatch.setattr(runner, "run_campaign", run)


@pytest.mark.slow
@pytest.mark.real
def test_a_campaign_tells_the_means_of_each_point(done: tuple[Path, Said]) -> None:
    folder, said = done
    found = said.json
    assert (found["jobs"], found["done"], found["failed"]) == (4, 4, 0)
    assert found["folder"] == "policies"
    assert found["digest"] == read_results(folder / "policies").digest
    assert [each["parameters"] for each in found["points"]] == [
        {"policy": "spray"},
        {"policy": "gain"},
    ]
    for point in found["points"]:
        assert point["seeds"] == 2
        assert point["delivered_share"] == pytest.approx(2 / 3)
        assert point["of_oracle"] == 1.0
    # In a pipe there is no bar.
    assert said.err == ""


@pytest.mark.slow
@pytest.mark.real
def test_a_complete_campaign_is_only_told_again(
    done: tuple[Path, Said], person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, first = done
    monkeypatch.chdir(folder)
    said = person.gives("campaign", "policies.toml", "--report", "page.html")
    assert said.code == 0
    assert f"digest    {first.json['digest']}" in said.out
    assert "policy=gain" in said.out
    assert "report    page.html" in said.out
    assert "4 of 4 jobs, 0 failed" in said.out


@pytest.mark.slow
@pytest.mark.real
def test_the_page_of_a_campaign_goes_into_its_folder(
    done: tuple[Path, Said], person: Person
) -> None:
    folder = done[0] / "policies"
    found = person.gives("report", str(folder), "--language", "fr", "--json").json
    assert found["report"] == str(folder / "report.html")
    assert '<html lang="fr">' in (folder / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.real
def test_two_campaigns_stand_side_by_side(done: tuple[Path, Said], person: Person) -> None:
    a = str(done[0] / "policies")
    found = person.gives("compare", a, a, "--json", "--report", "page.html").json
    assert (found["pairs"], found["is_same_scenario"]) == (4, True)
    assert {each["better"] for each in found["differences"]} == {"same"}
    assert found["report"] == "page.html"
    assert (person.folder / "page.html").is_file()
    said = person.gives("compare", a, a)
    assert said.code == 0
    assert "pairs      4; 0 of policies and 0 of policies" in said.out
    assert "policy=gain   overhead" in said.out


@pytest.mark.slow
@pytest.mark.real
def test_another_scenario_is_compared_by_force_alone(
    done: tuple[Path, Said], person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = read_results(done[0] / "policies")
    b = replace(a, name="other", scenario_hash="0" * 64)
    sides = iter([a, b, a, b])
    monkeypatch.setattr("sims.campaign.results.read_results", lambda _folder: next(sides))
    assert "force the comparison" in person.is_refused("compare", "a", "b")
    assert "scenarios  differ" in person.gives("compare", "a", "b", "--force").out


@pytest.mark.slow
@pytest.mark.real
def test_a_job_that_failed_ends_it_with_one(
    done: tuple[Path, Said], person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = read_results(done[0] / "policies")
    failed = replace(found.rows[0], figures=None, error="OSError: no room")
    told(replace(found, rows=(failed, *found.rows[1:])), monkeypatch)
    write(person.folder)
    said = person.gives("campaign", "policies.toml")
    assert said.code == 1
    assert "4 of 4 jobs, 1 failed" in said.out
    assert said.err == "FAILED seed 1: OSError: no room\n"


@pytest.mark.slow
def test_whoever_stops_it_hears_how_to_go_on(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_given: Any, **_named: Any) -> CampaignResults:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run_campaign", interrupt)
    write(person.folder)
    said = person.gives("campaign", "policies.toml", "--output", "my results", "--workers", "1")
    assert said.code == 130
    again = "meshnode-sim campaign policies.toml --output 'my results' --workers 1"
    assert said.err.splitlines() == [f"meshnode-sim: stopped; to go on: {again}"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["campaign", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["campaign", "wrong.toml"], "grid.policy"),
        (["campaign", "policies.toml", "--scheduler", "here"], "is no address of a scheduler"),
        (["campaign", "policies.toml", "--workers", "0"], "see 'meshnode-sim campaign --help'"),
        (
            ["campaign", "policies.toml", "--workers", "1", "--scheduler", "tcp://127.0.0.1:1"],
            "leave one of both out",
        ),
        (["compare", "nowhere", "elsewhere"], "campaign.json: cannot be read"),
        (["compare", "nowhere"], "Missing argument"),
    ],
)
def test_what_is_wrong_is_told(person: Person, words: list[str], reason: str) -> None:
    write(person.folder)
    person.file("wrong.toml", CAMPAIGN.replace(BOTH, '"maxprop"'))
    assert reason in person.is_refused(*words)
