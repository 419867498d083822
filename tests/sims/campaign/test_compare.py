"""Comparisons: figures against tables and a slow second way, and what is paired with what."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.abstract.records import PolicyName
from sims.campaign.compare import HIGHER_IS_BETTER, Comparison, Difference, compare
from sims.campaign.grid import jobs_of
from sims.campaign.job import Row, failed_row
from sims.campaign.parameters import CampaignError, Parameters
from sims.campaign.results import CampaignResults
from sims.campaign.student import t_central, t_quantile
from tests.sims.campaign.parts import small_campaign
from tests.sims.campaign.test_results import figures

SEEDS = (1, 2, 3, 4)


def results(
    name: str,
    points: list[Parameters],
    share: Callable[[Parameters, int], float],
    seeds: tuple[int, ...] = SEEDS,
) -> CampaignResults:
    """Return results in which one figure follows from parameters and seed."""
    rows = [
        Row(
            f"{point} {seed}",
            seed,
            point,
            replace(figures(1), delivered_share=share(point, seed)),
            "",
        )
        for point in points
        for seed in seeds
    ]
    return CampaignResults(name, "about", "x", "h", "1", len(rows), tuple(rows))


def difference(found: Comparison, figure: str, place: int = 0) -> Difference:
    """Return one difference of a comparison."""
    return [each for each in found.differences if each.figure == figure][place]


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [
        (1, 12.7062),
        (2, 4.3027),
        (3, 3.1824),
        (4, 2.7764),
        (9, 2.2622),
        (10, 2.2281),
        (29, 2.0452),
        (100, 1.9840),
        (1_000, 1.9623),
    ],
)
def test_quantiles_are_those_of_printed_tables(freedom: int, expected: float) -> None:
    assert t_quantile(0.95, freedom) == pytest.approx(expected, abs=5e-5)


@pytest.mark.slow
@given(t=st.floats(0, 30), freedom=st.integers(1, 60))
def test_the_series_is_the_area_under_the_curve(t: float, freedom: int) -> None:
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2))
    points = np.linspace(0.0, t, 20_001)
    density = (1 + points**2 / freedom) ** (-(freedom + 1) / 2)
    area = 2 * scale / math.sqrt(freedom * math.pi) * np.trapezoid(density, points)
    assert t_central(t, freedom) == pytest.approx(float(area), abs=1e-5)


@pytest.mark.slow
@given(confidence=st.floats(0.01, 0.999), freedom=st.integers(1, 200))
def test_a_quantile_has_its_probability(confidence: float, freedom: int) -> None:
    assert t_central(t_quantile(confidence, freedom), freedom) == pytest.approx(confidence)


def test_two_policies_are_compared_seed_by_seed() -> None:
    noise = {1: 0.0, 2: 0.3, 3: 0.1, 4: 0.2}
    sizes = [1_000, 2_000]
    plain = [Parameters(policy=PolicyName.SPRAY, buffer_bytes=size) for size in sizes]
    ours = [Parameters(policy=PolicyName.GAIN, buffer_bytes=size) for size in sizes]
    a = results("plain", plain, lambda _, seed: 0.4 + noise[seed])
    b = results("ours", ours, lambda point, seed: 0.5 + noise[seed] + 0.01 * (seed % 2))
    found = compare(a, b)
    assert found.contrast == (("policy", "spray", "gain"),)
    assert (found.pairs, found.unpaired_a, found.unpaired_b) == (8, 0, 0)
    assert len(found.differences) == 2 * len(HIGHER_IS_BETTER)
    one = difference(found, "delivered_share")
    assert one.point == (("buffer_bytes", "1000"),)
    assert (one.pairs, one.better) == (4, "b")
    assert one.mean_a == pytest.approx(0.55)
    assert one.mean_b == pytest.approx(0.655)
    # By hand: mean 0.105, deviation 0.01 / sqrt(3), t of 3 degrees of freedom 3.182446.
    assert one.mean == pytest.approx(0.105)
    half = 3.182446 * 0.01 / math.sqrt(3) / 2
    assert one.low == pytest.approx(0.105 - half)
    assert one.high == pytest.approx(0.105 + half)
    assert difference(found, "overhead").better == "same"
    turned = difference(compare(b, a), "delivered_share")
    assert turned.better == "a"
    assert turned.mean == pytest.approx(-0.105)


def test_lower_is_better_where_it_costs() -> None:
    def costly(name: str, factor: float) -> CampaignResults:
        found = results(name, [Parameters()], lambda *_: 0.5)
        rows = [
            replace(row, figures=replace(figures(1), overhead=factor * (10 + row.seed)))
            for row in found.rows
        ]
        return replace(found, rows=tuple(rows))

    assert difference(compare(costly("a", 1), costly("b", 2)), "overhead").better == "a"
    assert difference(compare(costly("a", 2), costly("b", 1)), "overhead").better == "b"


def test_chance_is_told_as_open() -> None:
    a = results("a", [Parameters()], lambda _, seed: seed / 10)
    b = results("b", [Parameters()], lambda _, seed: (seed * 7 % 5) / 10)
    assert difference(compare(a, b), "delivered_share").better == "open"
    alone = compare(
        results("a", [Parameters()], lambda *_: 0.1, (1,)),
        results("b", [Parameters()], lambda *_: 0.2, (1, 2)),
    )
    one = difference(alone, "delivered_share")
    assert (one.pairs, one.low, one.high, one.better) == (1, None, None, "open")
    assert (alone.unpaired_a, alone.unpaired_b) == (0, 1)


def test_a_figure_that_one_side_lacks_is_no_pair() -> None:
    a = results("a", [Parameters()], lambda _, seed: math.nan if seed == 2 else 0.1)
    b = results("b", [Parameters()], lambda _, seed: 0.2)
    assert difference(compare(a, b), "delivered_share").pairs == 3
    nothing = results("c", [Parameters()], lambda *_: math.nan)
    figures_left = {each.figure for each in compare(nothing, b).differences}
    assert figures_left == set(HIGHER_IS_BETTER) - {"delivered_share"}


def test_only_what_ran_is_paired() -> None:
    points = [Parameters(load_scale=1.0), Parameters(load_scale=2.0)]
    a = results("a", points, lambda *_: 0.1)
    b = results("b", [*points[:1], Parameters(load_scale=3.0)], lambda *_: 0.2)
    assert (compare(a, b).pairs, compare(a, b).unpaired_a, compare(a, b).unpaired_b) == (4, 4, 4)
    assert compare(a, b).contrast == ()
    row = replace(a.rows[0], figures=None, error="x")
    assert compare(replace(a, rows=(row, *a.rows[1:])), b).pairs == 3
    apart = results("c", [points[0]], lambda *_: 0.1, (9,))
    with pytest.raises(CampaignError, match="has no seed and parameters in common with a"):
        compare(a, apart)


def test_another_scenario_has_to_be_forced() -> None:
    a = results("a", [Parameters()], lambda *_: 0.1)
    b = replace(results("b", [Parameters()], lambda *_: 0.2), scenario_hash="i", version="2")
    with pytest.raises(CampaignError, match="ran on another scenario than a: force"):
        compare(a, b)
    found = compare(a, b, is_forced=True)
    assert not found.is_same_scenario
    assert found.contrast == (("version", "1", "2"),)
    assert compare(a, replace(b, scenario_hash="h")).is_same_scenario


def test_a_campaign_beside_itself_is_the_same(tmp_path: Path) -> None:
    campaign = small_campaign(tmp_path)
    jobs = jobs_of(campaign)
    rows = [Row(job.identity, job.seed, job.parameters, figures(1), "") for job in jobs[1:]]
    rows.append(failed_row(jobs[0], "x"))
    found = CampaignResults("a", "about", "x", "h", "1", 48, tuple(rows))
    comparison = compare(found, found)
    assert {each.better for each in comparison.differences} == {"same"}
    assert comparison.contrast == ()
    assert (comparison.pairs, comparison.unpaired_a) == (47, 1)
