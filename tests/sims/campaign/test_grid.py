"""A campaign file becomes jobs whose names depend on what decides their results alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from protocol.errors import MeshError
from sims.abstract.records import PolicyName
from sims.campaign.grid import Campaign, identity_of, jobs_of
from sims.campaign.parameters import (
    PARAMETERS,
    CampaignError,
    Parameters,
    parameters_of,
    text_of,
    value_of_text,
)
from sims.campaign.reading import load_campaign, read_campaign
from tests.sims.campaign.parts import CAMPAIGN, small_campaign, write_trace

HEAD = 'about = "x"\ncontacts = "contacts.csv"\nmessages = "messages.csv"\n'


def test_a_grid_times_seeds_makes_the_jobs(tmp_path: Path) -> None:
    campaign = small_campaign(tmp_path)
    jobs = jobs_of(campaign)
    assert campaign.seeds == (3, 4, 5, 6)
    assert len(jobs) == 3 * 2 * 2 * 4 == len({job.identity for job in jobs})
    assert [job.seed for job in jobs[:5]] == [3, 4, 5, 6, 3]
    expected = Parameters(policy=PolicyName.EPIDEMIC, buffer_bytes=100_000)
    assert jobs[0].parameters == expected
    assert jobs[4].parameters == replace(expected, load_scale=0.5)
    options = jobs[-1].parameters.options(9)
    assert (options.policy, options.buffer_bytes, options.seed) == ("gain", 1_000_000, 9)


def test_the_order_and_the_words_of_the_file_change_no_job(tmp_path: Path) -> None:
    first = small_campaign(tmp_path)
    other = CAMPAIGN.replace("{from = 3, count = 4}", "[6, 5, 4, 3]")
    head, grid = other.split("[grid]\n")
    turned = f"{head}[grid]\n" + "\n".join(reversed(grid.splitlines()))
    turned = turned.replace("Policies and", "Other words on").replace("1.0, 0.5", "1, 0.5")
    second = small_campaign(tmp_path, turned)
    names = [{job.identity for job in jobs_of(each)} for each in (first, second)]
    assert names[0] == names[1]


def test_whatever_decides_a_result_is_in_the_name_of_its_job() -> None:
    start = Parameters()
    changes: dict[str, object] = {name: getattr(start, name) for name in PARAMETERS}
    changes |= {"policy": PolicyName.DIRECT, "has_receipts": False, "has_resume": False}
    changes |= {name: 0.25 for name in PARAMETERS if isinstance(changes[name], float)}
    changes |= {"buffer_bytes": 1, "copies": 1}
    names = {identity_of("a", "1", 1, start)}
    names |= {identity_of("b", "1", 1, start), identity_of("a", "2", 1, start)}
    names |= {identity_of("a", "1", 2, start), identity_of("a", "1", 1, start)}
    for name, value in changes.items():
        parameters = replace(start, **{name: value})  # type: ignore[arg-type]
        assert parameters != start
        names.add(identity_of("a", "1", 1, parameters))
    assert len(names) == 4 + len(PARAMETERS)


def test_the_name_of_a_job_is_the_same_on_any_computer() -> None:
    assert identity_of("a", "1", 1, Parameters()) == "f1aeb4436e54fbe04a28720ab1c88346"


def test_a_value_is_read_back_from_its_text() -> None:
    odd = Parameters(has_receipts=False, has_resume=False, jitter_s=0.1 + 0.2, rate_bytes_s=1e11)
    for parameters in (Parameters(), odd):
        values = {
            name: value_of_text(name, text_of(getattr(parameters, name)), "here")
            for name in PARAMETERS
        }
        assert parameters_of(values) == parameters


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("x = ", "bad"),
        ("about = 3", "about"),
        (HEAD + "policy = 1", "policy"),
        ('about = "x"', "scenario"),
        (HEAD + 'scenario = "pyrenees"', "scenario"),
        ('about = "x"\ncontacts = "contacts.csv"', "messages"),
        (HEAD + "seeds = 3", "seeds"),
        (HEAD + "seeds = []", "seeds"),
        (HEAD + "seeds = [1, -1]", "seeds, number 2"),
        (HEAD + "seeds = [1, true]", "seeds, number 2"),
        (HEAD + "seeds = [1, 2, 1]", "seeds"),
        (HEAD + "seeds = {from = 1}", "seeds.count"),
        (HEAD + "seeds = {from = 1, count = 1, step = 2}", "seeds.step"),
        (HEAD + "seeds = {from = 1, count = 100_001}", "seeds.count"),
        (HEAD + "grid = 3", "grid"),
        (HEAD + "[grid]\npolicies = ['gain']", "grid.policies"),
        (HEAD + "[grid]\npolicy = []", "grid.policy"),
        (HEAD + "[grid]\npolicy = ['gain', 'best']", "grid.policy, value 2"),
        (HEAD + "[grid]\nbuffer_bytes = [1.5]", "grid.buffer_bytes, value 1"),
        (HEAD + "[grid]\nbuffer_bytes = [-1]", "grid.buffer_bytes, value 1"),
        (HEAD + "[grid]\nbuffer_bytes = [true]", "grid.buffer_bytes, value 1"),
        (HEAD + "[grid]\nload_scale = [nan]", "grid.load_scale, value 1"),
        (HEAD + "[grid]\nload_scale = [1, 1.0]", "grid.load_scale"),
        (HEAD + "[grid]\ndead_share = 1.1", "grid.dead_share"),
        (HEAD + "[grid]\nhas_resume = ['policy']", "grid.has_resume, value 1"),
        (HEAD + "[grid]\nhas_receipts = ['yes']", "grid.has_receipts, value 1"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    write_trace(tmp_path)
    with pytest.raises(CampaignError) as caught:
        read_campaign(text.encode(), "bad", tmp_path)
    assert caught.value.place == place


def test_too_many_jobs_are_refused(tmp_path: Path) -> None:
    rates = ", ".join(str(each) for each in range(1, 12))
    text = HEAD + f"seeds = {{count = 100_000}}\n[grid]\nrate_bytes_s = [{rates}]"
    write_trace(tmp_path)
    with pytest.raises(CampaignError, match="makes 1100000 jobs"):
        read_campaign(text.encode(), "bad", tmp_path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match="cannot be read"):
        load_campaign(tmp_path / "none.toml")
    (tmp_path / "a.toml").write_text(HEAD)
    with pytest.raises(MeshError, match=r"contacts\.csv: cannot be read"):
        load_campaign(tmp_path / "a.toml")


def test_a_file_says_what_its_text_says(tmp_path: Path) -> None:
    expected = small_campaign(tmp_path)
    (tmp_path / "small.toml").write_text(CAMPAIGN)
    found = load_campaign(tmp_path / "small.toml")
    assert isinstance(found, Campaign)
    assert jobs_of(found) == jobs_of(expected)
    assert (found.name, found.about) == (expected.name, expected.about)
