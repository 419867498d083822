"""Rows survive a torn file, folders are not mixed up, and the digest sees everything but time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.campaign.grid import Campaign, Job, jobs_of
from sims.campaign.job import Figures, Row, failed_row
from sims.campaign.parameters import CampaignError
from sims.campaign.results import digest_of, open_rows, read_results
from tests.sims.campaign.parts import CAMPAIGN, small_campaign

FIGURES = st.builds(
    Figures,
    **{
        field.name: {
            "int": st.integers(0, 2**70),
            "float": st.floats(allow_infinity=False),
            "str": st.text("0123456789abcdef", min_size=1),
        }[str(field.type)]
        for field in fields(Figures)
    },
)


def figures(number: int) -> Figures:
    """Return some figures."""
    values: dict[str, Any] = {
        field.name: {"int": number, "float": number / 7, "str": f"d{number}"}[str(field.type)]
        for field in fields(Figures)
    }
    return Figures(**values)


def row_of(job: Job, number: int = 1) -> Row:
    """Return a row of a job that went well."""
    return Row(job.identity, job.seed, job.parameters, figures(number), "")


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    """Return a campaign of 48 jobs."""
    return small_campaign(tmp_path)


@contextmanager
def rows_in(folder: Path, campaign: Campaign, *numbers: int) -> Iterator[list[Job]]:
    """Add the rows of the jobs with these numbers; give the jobs that were missing before."""
    jobs = jobs_of(campaign)
    with open_rows(folder, campaign) as rows:
        missing = rows.missing
        rows.append(row_of(jobs[number], number) for number in numbers)
        yield missing


def missing(folder: Path, campaign: Campaign) -> list[int]:
    """Return the numbers of the jobs without a row."""
    with rows_in(folder, campaign) as found:
        return [jobs_of(campaign).index(job) for job in found]


def test_rows_are_there_when_the_folder_is_opened_again(tmp_path: Path, campaign: Campaign) -> None:
    with rows_in(tmp_path / "out", campaign, 5, 2) as before:
        assert len(before) == 48
        # On the disk before the file is closed.
        assert len(read_results(tmp_path / "out").rows) == 2
    assert missing(tmp_path / "out", campaign) == [n for n in range(48) if n not in (2, 5)]
    found = read_results(tmp_path / "out")
    assert found.rows == tuple(row_of(jobs_of(campaign)[n], n) for n in (5, 2))
    assert (found.name, found.jobs, found.failed, found.digest) == ("small", 48, 0, None)
    assert found.scenario_hash == campaign.source.scenario_hash


@pytest.mark.slow
def test_a_finished_folder_is_in_the_order_of_the_grid(tmp_path: Path, campaign: Campaign) -> None:
    with open_rows(tmp_path / "out", campaign) as rows:
        for number, job in reversed(list(enumerate(jobs_of(campaign)))):
            rows.append([failed_row(job, "once"), row_of(job, number)])
        rows.finish()
        expected = rows.results()
    found = read_results(tmp_path / "out")
    assert found == expected
    assert [row.identity for row in found.rows] == [job.identity for job in jobs_of(campaign)]
    assert found.is_complete
    summary = json.loads((tmp_path / "out" / "campaign.json").read_text())
    assert summary["digest"] == found.digest == digest_of(found.rows)
    assert (summary["jobs"], summary["done"], summary["failed"]) == (48, 48, 0)
    assert summary["grid"]["policy"] == ["epidemic", "spray", "gain"]
    lines = (tmp_path / "out" / "rows.csv").read_text().splitlines()
    assert len(lines) == 50
    assert f"schema=1 scenario={campaign.source.scenario_hash} version=" in lines[0]


@pytest.mark.slow
def test_a_file_torn_at_any_byte_loses_the_torn_row_alone(
    tmp_path: Path, campaign: Campaign
) -> None:
    with rows_in(tmp_path / "out", campaign, 0, 1):
        pass
    path = tmp_path / "out" / "rows.csv"
    whole = path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    steps = [*range(0, len(whole), 37), *(end + step for end in ends for step in (-1, 0))]
    for length in sorted(set(steps)):
        path.write_bytes(whole[:length])
        complete = sum(end <= length for end in ends) - 2
        assert missing(tmp_path / "out", campaign) == list(range(max(complete, 0), 48)), length
        with rows_in(tmp_path / "out", campaign, *range(max(complete, 0), 2)):
            pass
        assert path.read_bytes() == whole


def test_a_last_line_of_zeros_is_done_again(tmp_path: Path, campaign: Campaign) -> None:
    with rows_in(tmp_path / "out", campaign, 0, 1):
        pass
    with (tmp_path / "out" / "rows.csv").open("ab") as file:
        file.write(bytes(100) + b"\n")
    assert missing(tmp_path / "out", campaign) == list(range(2, 48))


def test_a_line_broken_elsewhere_is_told(tmp_path: Path, campaign: Campaign) -> None:
    with rows_in(tmp_path / "out", campaign, 0, 1, 2):
        pass
    path = tmp_path / "out" / "rows.csv"
    lines = path.read_text().splitlines(keepends=True)
    for wrong in ("x,y\n", lines[3].replace("epidemic", "worst"), lines[3].replace("d1", "d1,2")):
        path.write_text("".join([*lines[:3], wrong, *lines[4:]]))
        with pytest.raises(CampaignError, match=r"rows\.csv line 4"):
            read_results(tmp_path / "out")


def test_a_failed_job_is_missing_again(tmp_path: Path, campaign: Campaign) -> None:
    job = jobs_of(campaign)[0]
    with open_rows(tmp_path / "out", campaign) as rows:
        rows.append([failed_row(job, 'ValueError: "a", b')])
    assert missing(tmp_path / "out", campaign) == list(range(48))
    (row,) = read_results(tmp_path / "out").rows
    assert (row.figures, row.error) == (None, 'ValueError: "a", b')
    assert read_results(tmp_path / "out").failed == 1


def test_a_folder_is_of_one_campaign(tmp_path: Path, campaign: Campaign) -> None:
    with rows_in(tmp_path / "out", campaign, 0, 47):
        pass
    other = replace(campaign, source=replace(campaign.source, scenario_hash="0" * 64))
    with pytest.raises(CampaignError, match="another scenario or version"):
        missing(tmp_path / "out", other)
    smaller = replace(campaign, seeds=campaign.seeds[:2])
    with pytest.raises(CampaignError, match="holds 1 jobs that the campaign does not have"):
        missing(tmp_path / "out", smaller)
    larger = replace(campaign, seeds=(*campaign.seeds, 99))
    assert len(missing(tmp_path / "out", larger)) == 60 - 2
    (tmp_path / "out" / "rows.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CampaignError, match="is not the head of a campaign's results"):
        missing(tmp_path / "out", campaign)


def test_a_folder_is_held_by_one(tmp_path: Path, campaign: Campaign) -> None:
    with (
        rows_in(tmp_path / "out", campaign, 0),
        pytest.raises(CampaignError, match="another campaign is writing there"),
    ):
        missing(tmp_path / "out", campaign)
    assert len(missing(tmp_path / "out", campaign)) == 47


def test_what_is_no_folder_of_results_is_told(tmp_path: Path, campaign: Campaign) -> None:
    with pytest.raises(CampaignError, match="cannot be read"):
        read_results(tmp_path)
    for wrong in ("{", "[]", '{"schema": 2}', '{"schema": 1, "name": "x"}'):
        (tmp_path / "campaign.json").write_text(wrong)
        with pytest.raises(CampaignError, match=r"campaign\.json"):
            read_results(tmp_path)
    with pytest.raises(CampaignError, match="cannot be used"):
        missing(tmp_path / "contacts.csv", campaign)


def test_the_digest_sees_everything_but_the_cpu_time(campaign: Campaign) -> None:
    rows = [row_of(job, number) for number, job in enumerate(jobs_of(campaign)[:3])]
    expected = digest_of(rows)
    assert digest_of(reversed(rows)) == expected
    for name in (field.name for field in fields(Figures)):
        changed: dict[str, Any] = {name: "e" if name == "digest" else 99}
        found = digest_of([*rows[:2], replace(rows[2], figures=replace(figures(2), **changed))])
        assert (found == expected) == (name == "cpu_seconds"), name
    assert digest_of(rows[:2]) != expected
    assert digest_of([*rows[:2], failed_row(jobs_of(campaign)[2], "x")]) != expected


@pytest.mark.slow
@given(found=FIGURES)
def test_figures_are_read_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, found: Figures
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    text = CAMPAIGN.split("[grid]")[0].replace("count = 4", "count = 1")
    campaign = small_campaign(folder, text)
    (job,) = jobs_of(campaign)
    with open_rows(folder / "out", campaign) as rows:
        rows.append([replace(row_of(job), figures=found)])
        rows.finish()
        digest = rows.results().digest
    results = read_results(folder / "out")
    assert results.digest == digest
    assert repr(results.rows[0].figures) == repr(found)
