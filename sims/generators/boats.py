"""Boats between the ports of two coasts: a timetable, what becomes of it, and network near land.

Each boat carries a box and the phones of its crew. It leaves its home port in the morning, calls
at a port, and comes home; the next day again. Sailings are late, some are cancelled, some end in
another port. Network is what the horizon of the masts on the coast allows, in patches towards its
edge. It is a model of the shape of such days, not a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sims.contacts import make_plan
from sims.generators.meetings import always, coverage, join_rows, meetings
from sims.generators.movement import Journey, make_movement, track
from sims.generators.radio import draw_outages, horizon_m, is_within
from sims.generators.sailings import Sailing, plan_sailings, sail
from sims.generators.scene import Crew, Scene, make_scene, whole_time
from sims.tables import read_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sims.generators.meetings import Covered
    from sims.generators.movement import Floats, Movement, Point
    from sims.generators.radio import Radio
    from sims.tables import Table

__all__ = ["Boats", "make_boats", "read_boats"]

_BOUNDS: Final = {
    "length_km": (10.0, 1_000.0),
    "width_km": (5.0, 500.0),
    "ports": (2, 100),
    "boats": (1, 2_000),
    "phones_per_boat": (0, 20),
    "speed_m_s": (1.0, 25.0),
    "late_s": (0.0, 36_000.0),
    "cancelled_share": (0.0, 1.0),
    "diverted_share": (0.0, 1.0),
    "mast_m": (1.0, 1_000.0),
    "box_m": (0.5, 60.0),
    "phone_m": (0.5, 30.0),
    "reach_share": (0.0, 1.0),
    "steady_share": (0.0, 1.0),
    "port_outage_share": (0.0, 0.9),
}
_BERTH_M: Final = 60.0
"""Berths lie this far from the box of a port at most."""
_OUTAGE_S: Final = 3_600.0
_SLOT_S: Final = 600.0
"""A patch of network lasts about this long: 3 to 5 km of way."""


@dataclass(frozen=True, slots=True)
class Boats:
    """How large the sea is, who sails it and how well timetables are kept."""

    length_km: float = 160.0
    """Along the coasts."""
    width_km: float = 110.0
    """From coast to coast."""
    ports: int = 8
    """Ports, on both coasts in turn; each has a box with network, and a mast."""
    boats: int = 20
    """Boats, each with a box and a line between two ports."""
    phones_per_boat: int = 3
    """Crew on board."""
    speed_m_s: float = 8.0
    """At sea."""
    late_s: float = 1_200.0
    """Mean delay of a departure."""
    cancelled_share: float = 0.07
    """Share of sailings that do not take place."""
    diverted_share: float = 0.05
    """Share of outward sailings that end in another port."""
    mast_m: float = 30.0
    """Height of masts above the sea."""
    box_m: float = 10.0
    """Height of the aerial of a boat's box."""
    phone_m: float = 2.0
    """Height at which a phone is held."""
    reach_share: float = 1.0
    """Network ends at this share of the horizon; phones of 4G hold about half."""
    steady_share: float = 0.4
    """Within this share of its reach a mast is always heard; from there to the end of it the
    chance falls to nothing."""
    port_outage_share: float = 0.03
    """Share of time in which the box of a port has no network."""

    @property
    def nodes(self) -> int:
        """How many devices that comes to."""
        return 1 + self.ports + self.boats * (1 + self.phones_per_boat)


def read_boats(table: Table) -> Boats:
    """Return the settings in `[boats]`. Raises: ScenarioError."""
    return read_record(table, Boats(), _BOUNDS)


def make_boats(
    settings: Boats, radio: Radio, duration_s: float, random: np.random.Generator
) -> Scene:
    """Return boats between ports; equal for equal settings and state of `random`.

    Nodes are, in this order: gateway, ports, boats, phones boat by boat. The timetable holds the
    published calls of boats at ports. Cost: about 1 s for 90 devices and ten days.
    """
    people, air = random.spawn(2)
    ports = _place_ports(settings, people)
    plan = plan_sailings(ports, settings.boats, settings.speed_m_s, duration_s, people)
    boats = [_journey(settings, ports, sailings, duration_s, people) for sailings in plan]
    crew, journeys, aboard = _populate(settings, ports, boats, people)
    movement = make_movement(journeys)
    reach_m = np.array([radio.range_m[0 if role == "agent" else 1] for role in crew.roles])
    is_covered = _covered(settings, ports, movement, duration_s, air)
    rows = join_rows(
        [
            coverage(movement, is_covered, radio.step_s, duration_s),
            meetings(
                movement,
                lambda east, _north: np.broadcast_to(reach_m, east.shape),
                radio.step_s,
                duration_s,
            ),
            always(aboard, duration_s),
        ]
    )
    calls = np.array(
        [
            (start_s, end_s, 1 + port, 1 + len(ports) + boat)
            for boat, sailings in enumerate(plan)
            for start_s, end_s, port in _calls(sailings, duration_s)
        ]
    )
    timetable = make_plan(len(crew.labels), calls, "timetable")
    duty = whole_time(crew.roles, duration_s)
    return make_scene(crew, rows, duty, duration_s, track(movement, duration_s), timetable)


def _place_ports(settings: Boats, random: np.random.Generator) -> list[Point]:
    """Return ports on the southern and the northern coast in turn, spread along them."""
    length_m, width_m = settings.length_km * 1e3, settings.width_km * 1e3
    steps = (np.arange(settings.ports) + random.uniform(0.2, 0.8, settings.ports)) / settings.ports
    return [(float(part) * length_m, width_m * (i % 2)) for i, part in enumerate(steps)]


def _journey(
    settings: Boats,
    ports: list[Point],
    sailings: list[Sailing],
    duration_s: float,
    random: np.random.Generator,
) -> Journey:
    """Return what a boat really does."""
    berth = random.uniform(-_BERTH_M, _BERTH_M, 2) / np.sqrt(2)
    berths = [(east + float(berth[0]), north + float(berth[1])) for east, north in ports]
    middle_m = settings.width_km * 500.0
    journey = sail(
        sailings,
        berths,
        middle_m,
        (settings.speed_m_s, settings.late_s),
        (settings.cancelled_share, settings.diverted_share),
        random,
    )
    journey.stay(duration_s)
    return journey


def _populate(
    settings: Boats, ports: list[Point], boats: list[Journey], random: np.random.Generator
) -> tuple[Crew, list[Journey], list[tuple[int, int]]]:
    """Return all nodes, their paths, and which phone is aboard which boat."""
    crew, journeys, aboard = Crew(), [Journey()], []
    crew.add("gateway", "gateway")
    for number, port in enumerate(ports, start=1):
        crew.add(f"port {number}", "relay", f"port {number}")
        journeys.append(Journey(0.0, port))
    boxes = [crew.add(f"boat {i}", "relay", f"boat {i}") for i in range(1, len(boats) + 1)]
    journeys += boats
    for number, (box, boat) in enumerate(zip(boxes, boats, strict=True), start=1):
        for place in range(1, settings.phones_per_boat + 1):
            role = "leader" if place == 1 else "agent"
            phone = crew.add(f"boat {number} phone {place}", role, f"boat {number}")
            aboard.append((box, phone))
            journeys.append(_beside(boat, random.uniform(-8.0, 8.0, 2)))
    return crew, journeys, aboard


def _beside(journey: Journey, shift_m: Floats) -> Journey:
    """Return the journey of somebody who stands so far away from another one all the time."""
    other = Journey()
    other.knots = [
        (time_s, east + float(shift_m[0]), north + float(shift_m[1]))
        for time_s, east, north in journey.knots
    ]
    return other


def _covered(
    settings: Boats,
    ports: list[Point],
    movement: Movement,
    duration_s: float,
    random: np.random.Generator,
) -> Covered:
    """Return who hears a mast when."""
    boxes = 1 + len(ports) + settings.boats
    reach_m = np.full(movement.nodes, horizon_m(settings.mast_m, settings.phone_m))
    reach_m[:boxes] = horizon_m(settings.mast_m, settings.box_m)
    reach_m = np.maximum(reach_m * settings.reach_share, 1.0)
    slots = int(np.ceil(duration_s / _SLOT_S)) + 1
    luck = random.random((slots, movement.nodes), dtype=np.float32)
    outages = [
        draw_outages(settings.port_outage_share, _OUTAGE_S, duration_s, random) for _ in ports
    ]
    fade = max(1.0 - settings.steady_share, 1e-9)

    def is_covered(times_s: Floats, east: Floats, north: Floats) -> NDArray[np.bool_]:
        distance_m = np.full(east.shape, np.inf)
        for x, y in ports:
            distance_m = np.minimum(distance_m, np.hypot(east - x, north - y))
        chance = (1.0 - distance_m / reach_m) / fade
        is_on = np.asarray(luck[(times_s / _SLOT_S).astype(np.intp)] < chance)
        for number, ends_s in enumerate(outages, start=1):
            is_on[:, number] = ~is_within(times_s, ends_s)
        return is_on

    return is_covered


def _calls(sailings: list[Sailing], duration_s: float) -> list[tuple[float, float, int]]:
    """Return begin, end and port of each published stay in a port."""
    calls, start_s = [], 0.0
    for each in sailings:
        calls.append((start_s, each.leaves_s, each.start))
        start_s = each.arrives_s
    last = sailings[-1].end if sailings else 0
    if sailings and start_s < duration_s:
        calls.append((start_s, duration_s, last))
    return [each for each in calls if each[0] < each[1]]
