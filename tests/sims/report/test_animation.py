"""The data of the animation: thinned, and true where it is not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sims.region import Tracks
from sims.report.animation import (
    CONTACTS_MAX,
    MESSAGES_MAX,
    TIMELINE_BINS,
    TIMELINE_NODES_MAX,
    animation_of,
    thinned_note,
)
from sims.report.measures import Run, make_run
from sims.report.words import Words
from tests.sims.report.sample import Size, sample_arrivals, sample_outcome, sample_region

USUAL = Size()


def sample_run(size: Size = USUAL, has_tracks: bool = True) -> Run:
    """Return a run over a sample region."""
    region = sample_region(size, has_tracks)
    return make_run(region, sample_outcome(region, sample_arrivals(region)), None)


def test_a_small_run_is_shown_whole() -> None:
    run = sample_run()
    data = animation_of(run, Words())
    assert thinned_note(data, Words()) == ""
    assert sorted(data["labels"]) == sorted(run.region.labels)
    assert len(data["contacts"]) == len(run.region.plan)
    row = data["messages"][0]
    workload = run.region.workload
    assert row[0] == int(workload.created_s[0])
    assert data["labels"][row[2]] == run.region.labels[workload.source[0]]
    assert data["labels"][row[3]] == run.region.labels[workload.destination[0]]
    assert row[5] == run.outcome.fate[0]


def test_positions_are_those_of_the_tracks() -> None:
    run = sample_run()
    data, tracks = animation_of(run, Words()), run.region.tracks
    assert tracks is not None
    node = run.region.labels.index(data["labels"][3])
    west, south = float(np.nanmin(tracks.east_m)), float(np.nanmin(tracks.north_m))
    for at in range(0, len(data["times"]), 50):
        frame = int(np.flatnonzero(tracks.times_s == data["times"][at])[0])
        east = west + data["east"][at][3] * data["step_m"]
        north = south + data["north"][at][3] * data["step_m"]
        assert east == pytest.approx(float(tracks.east_m[frame, node]), abs=data["step_m"])
        assert north == pytest.approx(float(tracks.north_m[frame, node]), abs=data["step_m"])


def test_an_unknown_place_is_marked() -> None:
    run = sample_run()
    tracks = run.region.tracks
    assert tracks is not None
    east = tracks.east_m.copy()
    east[5:9, 2] = np.nan
    region = dataclasses.replace(run.region, tracks=Tracks(tracks.times_s, east, tracks.north_m))
    data = animation_of(dataclasses.replace(run, region=region), Words())
    column = data["labels"].index(region.labels[2])
    assert [row[column] == -1 for row in data["east"][4:10]] == [False, *[True] * 4, False]
    nowhere = Tracks(tracks.times_s, tracks.east_m * np.nan, tracks.north_m * np.nan)
    lost = dataclasses.replace(run, region=dataclasses.replace(region, tracks=nowhere))
    assert {each for row in animation_of(lost, Words())["east"] for each in row} == {-1}


def test_a_row_of_the_timeline_covers_each_contact() -> None:
    run = sample_run(has_tracks=False)
    data, plan = animation_of(run, Words()), run.region.plan
    width = data["span"] / TIMELINE_BINS
    for place, label in enumerate(data["labels"]):
        node = run.region.labels.index(label)
        met = [False] * TIMELINE_BINS
        for start, end, a, b in zip(plan.start_s, plan.end_s, plan.a, plan.b, strict=True):
            for number in range(TIMELINE_BINS) if node in (a, b) else ():
                met[number] |= number * width < end and start < (number + 1) * width
        runs = data["rows"][place]
        got = {n for at in range(0, len(runs), 2) for n in range(runs[at], runs[at] + runs[at + 1])}
        assert got == {number for number, is_met in enumerate(met) if is_met}


def test_a_large_run_is_thinned_and_says_so() -> None:
    size = Size(nodes=150, contacts=20_000, messages=2_000)
    data = animation_of(sample_run(size), Words())
    assert len(data["contacts"]) == CONTACTS_MAX
    assert len(data["messages"]) <= MESSAGES_MAX
    assert f"{CONTACTS_MAX:,} of" in thinned_note(data, Words())
    timeline = animation_of(sample_run(size, has_tracks=False), Words())
    assert len(timeline["labels"]) == TIMELINE_NODES_MAX
    assert "post" in timeline["labels"], "the gateway is never left out"
    assert max(row[2] for row in timeline["messages"]) < TIMELINE_NODES_MAX


def test_urgent_messages_are_kept_first() -> None:
    run = sample_run(Size(messages=3_000))
    shown = animation_of(run, Words())["messages"]
    urgent = int((run.region.workload.priority == 0).sum())
    assert sum(row[4] == 0 for row in shown) == min(urgent, MESSAGES_MAX)
