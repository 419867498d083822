"""Regions that are made up: their structure, their statistics, and that the seed decides."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sims.generators.boats import Boats, make_boats
from sims.generators.city import City, make_city
from sims.generators.disaster import Disaster, make_disaster
from sims.generators.mountains import Mountains, make_mountains
from sims.generators.radio import Radio, draw_outages, horizon_m, is_within
from sims.generators.terrain import Terrain, find_road, make_terrain, seen_from

if TYPE_CHECKING:
    from sims.generators.scene import Scene

DAY_S = 86_400.0
SEEDS = (1, 2, 3)


@cache
def mountains(seed: int, days: int = 2) -> Scene:
    """Return 71 devices in mountains."""
    return make_mountains(Mountains(), Radio(), days * DAY_S, np.random.default_rng(seed))


@cache
def boats(seed: int) -> Scene:
    """Return 89 devices at sea."""
    radio = Radio((100.0, 1_500.0), 60.0)
    return make_boats(Boats(), radio, 4 * DAY_S, np.random.default_rng(seed))


@cache
def city(seed: int) -> Scene:
    """Return 154 devices in a city."""
    return make_city(City(), Radio((20.0, 80.0), 20.0), DAY_S, np.random.default_rng(seed))


@cache
def disaster(seed: int) -> Scene:
    """Return 66 devices after a disaster."""
    return make_disaster(Disaster(), Radio(), 3 * DAY_S, np.random.default_rng(seed))


MAKERS = [mountains, boats, city, disaster]


def people(scene: Scene) -> Any:
    """Return which nodes are agents or leaders."""
    return np.isin(scene.roles, ("agent", "leader"))


def lengths_s(scene: Scene, chosen: Any) -> Any:
    """Return the length of the chosen contacts."""
    return (scene.plan.end_s - scene.plan.start_s)[chosen]


def of_gateway(scene: Scene, nodes: Any) -> Any:
    """Return which contacts are those of the gateway with the chosen nodes."""
    return (scene.plan.a == 0) & nodes[scene.plan.b]


# --- all of them -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("make", MAKERS)
def test_the_seed_decides(make: Callable[[int], Scene]) -> None:
    first, again, other = make(1), make.__wrapped__(1), make(2)  # type: ignore[attr-defined]
    for name in ("start_s", "end_s", "a", "b"):
        np.testing.assert_array_equal(getattr(first.plan, name), getattr(again.plan, name))
    np.testing.assert_array_equal(first.duty, again.duty)
    assert first.roles == again.roles == other.roles
    assert len(first.plan) != len(other.plan)


@pytest.mark.slow
@pytest.mark.parametrize("make", MAKERS)
def test_a_scene_is_sound(make: Callable[[int], Scene]) -> None:
    scene = make(1)
    count = len(scene.roles)
    assert count == len(scene.labels) == len(scene.groups) == scene.plan.nodes
    assert len(set(scene.labels)) == count
    assert scene.roles[0] == "gateway"
    assert set(scene.roles[1:]) <= {"relay", "leader", "agent"}
    assert scene.plan.span_s <= scene.duration_s
    assert set(np.concatenate((scene.plan.a, scene.plan.b))) == set(range(count))
    assert people(scene)[scene.duty[:, 2].astype(int)].all()
    assert (scene.duty[:, 0] < scene.duty[:, 1]).all()
    assert scene.duty[:, 1].max() <= scene.duration_s
    assert scene.tracks is not None
    assert scene.tracks.east_m.shape == (len(scene.tracks.times_s), count)


@pytest.mark.slow
@pytest.mark.parametrize(("make", "limit_m"), [(mountains, 200.0), (city, 80.0), (disaster, 200.0)])
def test_who_is_in_contact_is_within_range(make: Callable[[int], Scene], limit_m: float) -> None:
    scene = make(1)
    assert scene.tracks is not None
    among = scene.plan.a > 0
    start, end = scene.plan.start_s[among], scene.plan.end_s[among]
    a, b = scene.plan.a[among], scene.plan.b[among]
    checked = 0
    for place, time_s in enumerate(scene.tracks.times_s):
        now = (start <= time_s) & (time_s < end)
        east = scene.tracks.east_m[place, a[now]] - scene.tracks.east_m[place, b[now]]
        north = scene.tracks.north_m[place, a[now]] - scene.tracks.north_m[place, b[now]]
        assert (np.hypot(east, north) <= limit_m + 0.1).all()
        checked += int(now.sum())
    assert checked > 100


@pytest.mark.parametrize("share", [0.0, 0.03, 0.5])
def test_outages_cover_their_share(share: float) -> None:
    ends_s = draw_outages(share, 600.0, 1e7, np.random.default_rng(5))
    times_s = np.arange(0.0, 1e7, 60.0)
    assert is_within(times_s, ends_s).mean() == pytest.approx(share, rel=0.1)


# --- mountains -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_agents_in_mountains_have_network_for_a_small_share_of_their_time(seed: int) -> None:
    scene = mountains(seed)
    duty_s = (scene.duty[:, 1] - scene.duty[:, 0]).sum()
    windows_s = lengths_s(scene, of_gateway(scene, people(scene)))
    # 7 % afield, and twice a quarter of an hour of ten hours at a post.
    assert 0.07 <= windows_s.sum() / duty_s <= 0.15
    assert 0.02 <= windows_s.sum() / people(scene).sum() / scene.duration_s <= 0.08
    assert 120 <= np.median(windows_s) <= 1_800
    posts = np.array([label.startswith("post") for label in scene.labels])
    covered_s = lengths_s(scene, of_gateway(scene, posts)).sum()
    assert covered_s / posts.sum() / scene.duration_s >= 0.85


@pytest.mark.slow
def test_squads_in_mountains_meet_their_vehicle_their_post_and_other_squads() -> None:
    scene = mountains(1)
    groups = np.array(scene.groups)
    vehicle = np.array([label.endswith("vehicle") for label in scene.labels])
    post = np.array([label.startswith("post") for label in scene.labels])
    a, b = scene.plan.a, scene.plan.b
    own = groups[a] == groups[b]
    for node in np.flatnonzero(people(scene)):
        assert (own & vehicle[a] & (b == node)).any()
        assert (post[a] & (b == node)).any()
    assert (~own & people(scene)[a] & people(scene)[b]).any()


@pytest.mark.slow
def test_people_in_mountains_are_there_on_duty_only() -> None:
    scene = mountains(1)
    assert scene.tracks is not None
    for node in np.flatnonzero(people(scene)):
        spans = scene.duty[scene.duty[:, 2] == node]
        times_s = scene.tracks.times_s
        is_on = ((times_s[:, None] > spans[:, 0]) & (times_s[:, None] < spans[:, 1])).any(axis=1)
        np.testing.assert_array_equal(~np.isnan(scene.tracks.east_m[:, node]), is_on)
    hours = scene.duty[:, 0] / 3_600 % 24
    assert ((abs(hours - 7) <= 0.5) | (abs(hours - 19) <= 0.5)).all()
    by_night = abs(hours - 19) <= 0.5
    assert 0.15 <= by_night.mean() <= 0.45


@pytest.mark.slow
def test_coverage_is_what_was_asked_for_and_no_mast_is_no_network() -> None:
    shares = []
    for asked in (0.0, 0.05, 0.3):
        settings = Mountains(coverage_share=asked, masts=4, post_outage_share=0.0)
        scene = make_mountains(settings, Radio(), DAY_S, np.random.default_rng(4))
        duty_s = (scene.duty[:, 1] - scene.duty[:, 0]).sum()
        shares.append(lengths_s(scene, of_gateway(scene, people(scene))).sum() / duty_s)
    at_posts = shares[0]
    assert shares[1] - at_posts == pytest.approx(0.05 * (1 - at_posts), abs=0.01)
    assert shares[2] - at_posts == pytest.approx(0.3 * (1 - at_posts), abs=0.05)
    dark = Mountains(masts=0)
    scene = make_mountains(dark, Radio(), DAY_S, np.random.default_rng(4))
    assert lengths_s(scene, of_gateway(scene, people(scene))).sum() / duty_s <= at_posts


def test_a_landscape_has_its_relief_and_hides_what_is_behind_a_ridge() -> None:
    terrain = make_terrain(12_000.0, 900.0, 4_000.0, np.random.default_rng(1))
    assert (terrain.height_m.min(), terrain.height_m.max()) == (0.0, pytest.approx(900.0))
    assert terrain.size_m == pytest.approx(12_000.0)
    ridge = np.zeros((21, 21))
    ridge[:, 10] = 300.0
    wall = Terrain(ridge, 100.0)
    seen = seen_from(wall, (500.0, 1_000.0), 25.0, 1.5)
    assert seen[:, :10].all()
    assert seen[10, 10]
    assert not seen[:, 11:].any()
    assert seen_from(Terrain(np.zeros((21, 21)), 100.0), (500.0, 1_000.0), 25.0, 1.5).all()


def test_a_road_goes_through_the_gap() -> None:
    ridge = np.zeros((21, 21))
    ridge[:, 10] = 1_000.0
    ridge[2, :] = 0.0
    road = find_road(Terrain(ridge, 100.0), (0.0, 1_000.0), (2_000.0, 1_000.0))
    assert (road[0], road[-1]) == ((0.0, 1_000.0), (2_000.0, 1_000.0))
    assert (1_000.0, 200.0) in road
    assert find_road(Terrain(ridge, 100.0), (5.0, 5.0), (6.0, 6.0)) == [(5.0, 5.0), (6.0, 6.0)]


# --- boats -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("mast_m", "device_m", "km"), [(30, 2, 28), (60, 10, 45), (200, 10, 71)])
def test_the_horizon_is_as_published(mast_m: float, device_m: float, km: float) -> None:
    assert horizon_m(mast_m, device_m) / 1e3 == pytest.approx(km, abs=0.5)


@pytest.mark.slow
def test_crews_are_with_their_box_all_along() -> None:
    scene = boats(1)
    groups = np.array(scene.groups)
    boxes = [
        i for i, label in enumerate(scene.labels) if label.startswith("boat") and "ph" not in label
    ]
    assert len(boxes) == 20
    for box in boxes:
        crew = (scene.plan.a == box) & (groups[scene.plan.b] == groups[box])
        assert crew.sum() == 3
        assert lengths_s(scene, crew).tolist() == [scene.duration_s] * 3


@pytest.mark.slow
def test_network_at_sea_ends_at_the_horizon() -> None:
    scene = boats(1)
    assert scene.tracks is not None
    limit_m = horizon_m(30.0, 2.0)
    ports = [i for i, label in enumerate(scene.labels) if label.startswith("port")]
    east, north = scene.tracks.east_m, scene.tracks.north_m
    away = np.min([np.hypot(east - east[0, i], north - north[0, i]) for i in ports], axis=0)
    at_sea = covered = 0
    for place, time_s in enumerate(scene.tracks.times_s):
        now = (scene.plan.start_s <= time_s) & (time_s < scene.plan.end_s) & (scene.plan.a == 0)
        is_on = np.zeros(len(scene.roles), bool)
        is_on[scene.plan.b[now]] = True
        phones = people(scene)
        assert (away[place, is_on & phones] <= limit_m).all()
        assert is_on[phones & (away[place] < 0.35 * limit_m)].all()
        is_out = phones & (away[place] > 2_000)
        at_sea += int(is_out.sum())
        covered += int((is_on & is_out).sum())
    assert 0.2 <= covered / at_sea <= 0.8


@pytest.mark.slow
def test_a_timetable_is_kept_but_for_delays_cancellations_and_diversions() -> None:
    plain = Boats(cancelled_share=0.0, diverted_share=0.0, late_s=0.0)
    usual = Boats(boats=40)
    missed = []
    for settings in (plain, usual):
        radio = Radio((100.0, 1_500.0), 60.0)
        scene = make_boats(settings, radio, 4 * DAY_S, np.random.default_rng(7))
        assert scene.timetable is not None
        kept = [
            kept_share(scene, call)
            for call in zip(
                scene.timetable.start_s,
                scene.timetable.end_s,
                scene.timetable.a,
                scene.timetable.b,
                strict=True,
            )
            if call[0] > 0 and call[1] < scene.duration_s
        ]
        missed.append(float(np.mean(np.array(kept) == 0.0)))
    # Winds move arrivals by less than a stay, so that nothing is missed without deviations.
    assert missed[0] == 0.0
    assert 0.01 <= missed[1] <= 0.15


def kept_share(scene: Scene, call: tuple[float, float, int, int]) -> float:
    """Return for how much of a published call the boat really is at the port."""
    start_s, end_s, port, boat = call
    own = (scene.plan.a == port) & (scene.plan.b == boat)
    begin = np.maximum(scene.plan.start_s[own], start_s)
    end = np.minimum(scene.plan.end_s[own], end_s)
    return float(np.maximum(end - begin, 0.0).sum()) / (end_s - start_s)


# --- city and disaster -----------------------------------------------------------------------


@pytest.mark.slow
def test_a_city_has_many_short_contacts_and_dead_cells() -> None:
    scene = city(1)
    among = people(scene)[scene.plan.a] & people(scene)[scene.plan.b]
    assert among.sum() > 20 * people(scene).sum()
    assert np.median(lengths_s(scene, among)) <= 600
    duty_s = (scene.duty[:, 1] - scene.duty[:, 0]).sum()
    share = lengths_s(scene, of_gateway(scene, people(scene))).sum() / duty_s
    assert 0.5 <= share <= 0.9
    assert duty_s == pytest.approx(people(scene).sum() * DAY_S / 3)


@pytest.mark.slow
def test_after_the_strike_only_the_satellite_post_has_network_until_cells_return() -> None:
    scene = disaster(1)
    plan = scene.plan
    strike_s, satellite_s, back_s = 2 * 3_600.0, 6 * 3_600.0, 26 * 3_600.0
    gateway = plan.a == 0
    all_up = gateway & (plan.start_s == 0) & (plan.end_s == strike_s)
    assert set(plan.b[all_up]) == set(range(1, len(scene.roles)))
    dark = gateway & (plan.end_s > strike_s) & (plan.start_s < back_s)
    assert set(plan.b[dark]) == {scene.labels.index("satellite post")}
    assert plan.start_s[dark].tolist() == [satellite_s]
    later = gateway & (plan.start_s >= back_s)
    assert len(set(plan.b[later])) > 10
    shares = [
        float(((plan.start_s[later] <= t) & (t < plan.end_s[later])).sum())
        for t in (back_s, 259_000)
    ]
    assert shares[0] < shares[1] < len(scene.roles)


@pytest.mark.soak
def test_ten_thousand_devices_can_be_made() -> None:
    settings = Mountains(size_km=200.0, posts=40, masts=20, squads=800, agents_per_squad=11)
    scene = make_mountains(settings, Radio(), DAY_S, np.random.default_rng(1))
    assert scene.plan.nodes == settings.nodes == 9_641
    assert len(scene.plan) > 100_000
