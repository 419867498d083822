"""Reports on campaigns and their comparison: means, intervals, rows, and both sides."""

from __future__ import annotations

import dataclasses
import json
import statistics
from pathlib import Path

import pytest

from sims.abstract.records import PolicyName
from sims.campaign.compare import compare
from sims.campaign.results import CampaignResults
from sims.report import ReportError, campaign_report, comparison_report
from sims.report.sweeps import estimate, flat_rows, shown_value, usual_values, values_of
from sims.report.words import Words
from tests.sims.report.pages import check_page, read_page
from tests.sims.report.sample import sample_results

T_4 = 2.7764451
"""Quantile of Student's t for 95 % and 4 degrees of freedom, from printed tables."""


def of_oracle(results: CampaignResults, policy: str, buffer_bytes: int) -> list[float]:
    """Return the shares of the possible at one point, by seed."""
    return [
        row.figures.of_oracle
        for row in results.rows
        if row.figures is not None
        and row.parameters.policy == policy
        and row.parameters.buffer_bytes == buffer_bytes
    ]


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_campaign_shows_each_policy_against_each_parameter(tmp_path: Path, language: str) -> None:
    results = sample_results(loads=(1.0, 2.0))
    page = read_page(
        campaign_report(results, tmp_path / "page.html", language=language)  # type: ignore[arg-type]
    )
    check_page(page)
    assert "{" not in page.text
    data = page.data()
    assert {"of_oracle_by_buffer_bytes.csv", "overhead_by_load_scale.csv"} <= set(data)
    rows = data["of_oracle_by_buffer_bytes.csv"]
    assert {row[0] for row in rows[1:]} == set(PolicyName)
    assert len(data["rows.csv"]) == 1 + len(results.rows)


@pytest.mark.slow
def test_means_and_intervals_are_those_of_the_rows(tmp_path: Path) -> None:
    results = sample_results()
    page = read_page(campaign_report(results, tmp_path / "page.html"))
    for policy, buffer, mean, interval, runs in page.data()["of_oracle_by_buffer_bytes.csv"][1:]:
        values = of_oracle(results, policy, int(buffer))
        assert int(runs) == len(values) == 5
        assert float(mean) == pytest.approx(statistics.mean(values))
        half = T_4 * statistics.stdev(values) / 5**0.5
        assert float(interval) == pytest.approx(half, rel=1e-6)
    best = statistics.mean(of_oracle(results, "gain", 5_000_000))
    assert f"gain {100 * best:.1f}%" in page.text


@pytest.mark.slow
def test_a_campaign_of_policies_alone_has_bars(tmp_path: Path) -> None:
    results = sample_results(buffers=(5_000_000,), seeds=(1,))
    page = read_page(campaign_report(results, tmp_path / "folder"))
    check_page(page)
    figures = json.loads((tmp_path / "folder" / "figures.json").read_text())["figures"]
    assert "of_oracle_by_policy" in figures
    assert figures["of_oracle_by_policy"]["rows"][0][2] is None, "one seed has no interval"


@pytest.mark.slow
def test_failed_runs_are_told_and_listed(tmp_path: Path) -> None:
    results = sample_results(failing=3)
    page = read_page(campaign_report(results, tmp_path / "page.html"))
    assert "3 runs failed" in page.text
    assert [row[-1] for row in page.data()["rows.csv"]][-3:] == ["out of memory"] * 3


def test_a_campaign_without_a_result_is_refused(tmp_path: Path) -> None:
    results = sample_results(policies=[PolicyName.GAIN], buffers=(1,), seeds=(1,), failing=1)
    with pytest.raises(ReportError, match="no successful job"):
        campaign_report(results, tmp_path / "page.html")


@pytest.mark.slow
def test_two_campaigns_stand_side_by_side(tmp_path: Path) -> None:
    ours = sample_results("ours", [PolicyName.GAIN])
    spray = sample_results("<spray>", [PolicyName.SPRAY])
    comparison = compare(ours, spray)
    pages = [
        read_page(comparison_report(ours, spray, comparison, tmp_path / f"{number}.html"))
        for number in (1, 2)
    ]
    check_page(pages[0])
    assert pages[0].raw == pages[1].raw
    assert "policy (gain against spray)" in pages[0].text
    data = pages[0].data()
    assert len(data["differences.csv"]) == 1 + len(comparison.differences)
    first = next(each for each in comparison.differences if each.figure == "of_oracle")
    row = data["difference_of_oracle.csv"][1]
    assert [float(each) for each in row[1:4]] == pytest.approx(
        [first.mean_a, first.mean_b, first.mean]
    )
    assert {"a_of_oracle_by_buffer_bytes.csv", "b_of_oracle_by_buffer_bytes.csv"} <= set(data)


@pytest.mark.slow
def test_another_scenario_is_told(tmp_path: Path) -> None:
    ours = sample_results("ours", [PolicyName.GAIN])
    other = dataclasses.replace(ours, name="other", scenario_hash="b" * 64)
    comparison = compare(ours, other, is_forced=True)
    page = read_page(
        comparison_report(ours, other, comparison, tmp_path / "page.html", language="fr")
    )
    check_page(page)
    assert "Les scénarios sont différents" in page.text


def test_values_are_ordered_as_people_expect() -> None:
    rows = flat_rows(sample_results(buffers=(0, 50_000_000, 9_000_000), seeds=(1,)))
    assert values_of(rows, "buffer_bytes") == ["9000000", "50000000", "0"]
    assert usual_values(rows) == {"policy": "gain", "buffer_bytes": "9000000"}
    words = Words()
    assert shown_value("buffer_bytes", "0", words) == "without bound"
    assert shown_value("has_receipts", "policy", words) == "as the policy does"
    assert shown_value("dead_share", "0.25", words) == "25%"
    assert shown_value("load_scale", "2.0", words) == "2×"


def test_an_estimate_leaves_out_what_is_unknown() -> None:
    assert estimate([1.0, float("nan"), 3.0]).mean == 2.0
    assert estimate([1.0, float("nan"), 3.0]).runs == 2
    assert estimate([]).runs == 0
