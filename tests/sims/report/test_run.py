"""The report on a run: what it says, that it needs nothing else, and that no label breaks it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from sims.abstract.records import Fate, Outcome, PolicyName, Samples
from sims.contacts import make_plan, make_workload
from sims.costs import LoraFigures, SatelliteFigures, account_costs
from sims.energy import EnergyFigures, account_energy
from sims.region import Region
from sims.report import ReportError, run_report
from tests.sims.report.pages import Parsed, check_page, read_page
from tests.sims.report.sample import (
    Size,
    sample_arrivals,
    sample_outcome,
    sample_region,
)

NASTY = "</script><script>alert(1)</script><b onclick='x'>&amp;\"$\\frac{1}{0}$\x00\u202e雪"


def report(
    path: Path, region: Region | None = None, *, language: str = "en", has_costs: bool = False
) -> Parsed:
    """Write the report on a sample and read it."""
    region = region or sample_region()
    arrivals = sample_arrivals(region)
    outcome = sample_outcome(region, arrivals)
    energy = account = None
    if has_costs:
        energy = account_energy(outcome, region, EnergyFigures())
        account = account_costs(outcome, region, SatelliteFigures(), LoraFigures())
    page = run_report(
        region,
        outcome,
        arrivals,
        path,
        energy=energy,
        account=account,
        language=language,  # type: ignore[arg-type]
    )
    return read_page(page)


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("has_tracks", [True, False])
def test_a_page_stands_alone_and_gives_every_figure_as_data(
    tmp_path: Path, language: str, has_tracks: bool
) -> None:
    region = sample_region(has_tracks=has_tracks)
    page = report(tmp_path / "run.html", region, language=language, has_costs=True)
    check_page(page)
    assert page.all("html")[0].attributes["lang"] == language
    assert page.animation()["kind"] == ("map" if has_tracks else "timeline")
    assert len(page.all("svg", role="img")) == 10
    assert "{" not in page.text, "every text has its fields filled in"
    assert ("passerelle" in page.text) == (language == "fr")


@pytest.mark.slow
def test_its_controls_work_from_a_keyboard_and_have_names(tmp_path: Path) -> None:
    page = report(tmp_path / "run.html")
    assert page.all("button", id="play")[0].text == "Play"
    for tag, name in (("input", "time"), ("select", "speed")):
        assert page.all(tag, id=name)[0].attributes["aria-label"]
    (canvas,) = page.all("canvas")
    assert canvas.attributes["role"] == "img"
    assert len(canvas.attributes["aria-label"]) > 50
    scrolling = [each for each in page.all("div") if each.attributes.get("class") == "scroll"]
    assert all(each.attributes["tabindex"] == "0" for each in scrolling)


@pytest.mark.slow
def test_a_folder_gets_the_page_and_all_data(tmp_path: Path) -> None:
    page = report(tmp_path / "report")
    figures = json.loads((tmp_path / "report" / "figures.json").read_text())
    assert figures["schema"] == 1
    for name, rows in page.data().items():
        assert (tmp_path / "report" / "data" / name).is_file()
        assert figures["figures"][name.removesuffix(".csv")]["columns"] == rows[0]
        assert len(figures["figures"][name.removesuffix(".csv")]["rows"]) == len(rows) - 1


@pytest.mark.slow
def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    pages = [report(tmp_path / name, has_costs=True).raw for name in ("one.html", "two.html")]
    assert pages[0] == pages[1]


@pytest.mark.slow
def test_numbers_are_those_of_the_arrays(tmp_path: Path) -> None:
    region = sample_region()
    arrivals = sample_arrivals(region)
    outcome = sample_outcome(region, arrivals)
    page = read_page(run_report(region, outcome, arrivals, tmp_path / "run.html"))
    delays = [
        float(came - wrote)
        for came, wrote in zip(outcome.delivered_s, region.workload.created_s, strict=True)
        if came == came
    ]
    possible = [float(each) for each in arrivals if each == each]
    count = len(region.workload)
    assert f"{len(delays)} of {count} messages arrived in time" in page.text
    assert f"({100 * len(delays) / count:.1f}%)" in page.text
    assert f"at most {len(possible)} could have arrived" in page.text
    assert f"Half of those that arrived took at most {_hours(median(delays))}" in page.text
    beyond = (int(outcome.transfers_of.sum()) - len(delays)) / len(delays)
    assert f"{beyond:.1f}" in [each.text for each in page.all("strong")]
    _check_tables(page, region, outcome)


@pytest.mark.slow
def test_energy_and_prices_are_those_accounted(tmp_path: Path) -> None:
    region = sample_region()
    outcome = sample_outcome(region, sample_arrivals(region))
    energy = account_energy(outcome, region, EnergyFigures())
    account = account_costs(outcome, region, SatelliteFigures(), LoraFigures())
    page = report(tmp_path / "run.html", region, has_costs=True)
    rows = page.data()["energy.csv"][1:]
    assert {row[0]: float(row[3]) for row in rows} == pytest.approx(
        dict(zip(region.labels, energy.per_day_j.tolist(), strict=True))
    )
    assert all(float(row[3]) == pytest.approx(sum(map(float, row[4:]))) for row in rows)
    assert f"{energy.mean_j / 1000:.3g} kJ a day on average" in page.text
    assert region.labels[energy.worst_node] in page.text
    assert f"{account.urgent_missed} urgent messages" in page.text
    assert f"{account.satellite_euros:.2f} €" in page.text


def _hours(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}\u00a0h\u00a0{minutes:02d}\u00a0min"


def _check_tables(page: Parsed, region: Region, outcome: Outcome) -> None:
    data, workload = page.data(), region.workload
    for number, column in enumerate(("delivered_urgent", "delivered_normal", "delivered_bulk")):
        own = [each for each in range(len(workload)) if workload.priority[each] == number]
        rows = data["delivery_over_time.csv"]
        place = rows[0].index(column)
        for row in rows[1:]:
            came = sum(float(outcome.delivered_s[each]) <= float(row[0]) + 1e-6 for each in own)
            assert float(row[place]) == pytest.approx(came / len(own), abs=1 / len(own) + 1e-9)
        assert float(rows[-1][place]) == pytest.approx(
            sum(outcome.fate[each] == Fate.DELIVERED for each in own) / len(own)
        )
    for fate, row in zip(Fate, data["fates.csv"][1:], strict=True):
        assert int(row[-1]) == sum(int(each) == fate for each in outcome.fate)
    bytes_moved = sum(
        int(each) * int(size)
        for each, size in zip(outcome.transfers_of, workload.size_bytes, strict=True)
    )
    assert int(data["bytes_per_delivered.csv"][-1][2]) == bytes_moved
    died = sum(int(row[-1]) for row in data["death_places.csv"][1:])
    gone = [int(fate) in (2, 3) for fate in outcome.fate]
    assert died == sum(int(fate) == 1 for fate in outcome.fate) + sum(
        is_gone and int(node) >= 0 for is_gone, node in zip(gone, outcome.died_at, strict=True)
    )


@pytest.mark.slow
def test_no_label_breaks_the_page(tmp_path: Path) -> None:
    region = sample_region(Size(nodes=6, messages=40))
    nasty = dataclasses.replace(
        region,
        name=NASTY,
        labels=tuple(f"{NASTY}{node}" for node in range(6)),
        groups=tuple(f"{NASTY}{node % 3}" for node in range(6)),
        workload=dataclasses.replace(
            region.workload, names=tuple(f"{NASTY}{number}" for number in range(40))
        ),
    )
    page = report(tmp_path / "run.html", nasty, has_costs=True)
    assert page.unclosed == []
    assert len(page.all("script")) == 3, "the data, and the two scripts of the page"
    assert not page.all("b")
    assert not [each for each in page.elements if "onclick" in each.attributes]
    assert page.animation()["labels"][0].startswith(NASTY[:40])
    messages = page.data()["messages.csv"]
    assert messages[1][0].startswith(NASTY[:40])


@pytest.mark.slow
def test_several_policies_stand_side_by_side(tmp_path: Path) -> None:
    region = sample_region()
    arrivals = sample_arrivals(region)
    outcomes = [
        sample_outcome(region, arrivals, policy, seed)
        for seed, policy in enumerate((PolicyName.GAIN, PolicyName.SPRAY, PolicyName.GAIN))
    ]
    page = read_page(run_report(region, outcomes, None, tmp_path / "run.html"))
    check_page(page)
    names = page.data()["delays.csv"][0][1:]
    assert len(set(names)) == 3
    assert "Policies side by side" in page.text
    assert "what was possible" not in page.text, "nothing is said of a bound that is not given"


@pytest.mark.slow
def test_a_region_without_anything_has_a_page(tmp_path: Path) -> None:
    none = np.empty(0)
    region = Region(
        "empty",
        make_plan(1, np.empty((0, 4))),
        make_workload((), np.empty((0, 6)), 1, "none"),
        ("alone",),
        ("agent",),
        ("",),
        0.0,
    )
    whole, small = none.astype(np.int32), np.zeros(1, np.int64)
    outcome = sample_outcome(sample_region(), sample_arrivals(sample_region()))
    outcome = dataclasses.replace(
        outcome,
        delivered_s=none,
        fate=none.astype(np.int8),
        died_at=whole,
        hops=none.astype(np.int16),
        transfers_of=whole,
        sent_bytes=small,
        received_bytes=small,
        contact_s=np.zeros(1),
        evictions=np.zeros(1, np.int32),
        cut_transfers=0,
        samples=Samples(none, none, none),
    )
    check_page(read_page(run_report(region, outcome, none, tmp_path / "run.html")))


@pytest.mark.slow
def test_nothing_delivered_has_a_page_with_advice(tmp_path: Path) -> None:
    region = sample_region()
    nothing = np.full(len(region.workload), np.nan)
    outcome = sample_outcome(region, sample_arrivals(region))
    outcome = dataclasses.replace(
        outcome,
        delivered_s=nothing,
        fate=np.full(len(nothing), Fate.NEVER_LEFT, np.int8),
        transfers_of=np.zeros(len(nothing), np.int32),
    )
    page = read_page(run_report(region, outcome, nothing, tmp_path / "run.html"))
    check_page(page)
    assert "60 messages could not arrive in time whatever the routing" in page.text
    assert "60 messages never left their writer" in page.text


@pytest.mark.slow
def test_a_large_run_stays_small(tmp_path: Path) -> None:
    region = sample_region(Size(nodes=100, days=5, contacts=40_000, messages=1_500))
    page = report(tmp_path / "run.html", region, has_costs=True)
    assert len(page.raw.encode()) < 3_000_000
    assert "10,000 of" in page.text, "what is left out is said"


def test_results_of_another_region_are_refused(tmp_path: Path) -> None:
    region, other = sample_region(), sample_region(Size(messages=61))
    outcome = sample_outcome(other, sample_arrivals(other))
    with pytest.raises(ReportError, match="of another region"):
        run_report(region, outcome, None, tmp_path / "run.html")
    with pytest.raises(ReportError, match="at least one outcome"):
        run_report(region, [], None, tmp_path / "run.html")


@pytest.mark.slow
def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "run.html", tmp_path / "file"):
        with pytest.raises(ReportError, match="cannot be written"):
            report(place)
