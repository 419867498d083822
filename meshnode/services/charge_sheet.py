"""The charge plan of a squad, from its board as `Api.board` gives it, in plain values.

The board says percents; capacities are by kind of device unless somebody gives them. What is not
known is left out and named, what is old is estimated and marked: nothing is made up silently.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from meshnode.errors import ChargeError
from meshnode.services.charging import ChargePlan, Supply, Thirsty, plan_charging
from protocol.identity import DeviceClass

__all__ = ["USUAL", "Usual", "charge_sheet", "supply_of"]

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Usual:
    """What is taken for a kind of device where nobody knows better."""

    capacity_wh: float
    """What it holds, watt-hours."""
    drain_w: float
    """What it uses with this program at work, watts."""


USUAL: Final[Mapping[DeviceClass, Usual]] = MappingProxyType(
    {
        DeviceClass.PHONE: Usual(17.0, 0.9),
        DeviceClass.TABLET: Usual(30.0, 2.0),
        DeviceClass.BOX: Usual(100.0, 5.0),
        DeviceClass.PC: Usual(55.0, 10.0),
        DeviceClass.SERVER: Usual(500.0, 60.0),
    }
)
"""A phone of 4400 mAh, a rugged tablet, a box on a lead battery, a notebook, a rack server."""
_RANKS: Final = {"leader": 0, "gateway": 1, "relay": 1}
"""Whose device is helped first at equal need: who leads, then who reaches the network for all."""
_TOLD: Final = frozenset({"name", "node", "role", "device", "is_revoked", "battery"})
"""What a board tells of each mate since there are plans for charging."""
_RANK_OF_OTHERS: Final = 2
_MINUTE_MS: Final = 60_000


def supply_of(
    budget_wh: float, sockets: int, socket_w: float, efficiency_pct: int, turn_min: int
) -> Supply:
    """Return what a vehicle gives, in whole milliwatts. Raises: ChargeError for no number."""
    return Supply(
        budget_mwh=_thousandths(budget_wh),
        sockets=sockets,
        socket_mw=_thousandths(socket_w),
        efficiency_pct=efficiency_pct,
        turn_min=turn_min,
    )


def charge_sheet(board: Json, supply: Supply, capacities_wh: Mapping[str, float]) -> Json:
    """Return the plan for a board; `capacities_wh` holds what is known, by name of the device.

    Times are Unix milliseconds, 0 for not within two days. Raises: ChargeError for a name that the
    board lacks, and for numbers that cannot be.
    """
    if any(not each.keys() >= _TOLD for each in board["mates"]):
        raise ChargeError("the running node is of an older version: stop it and start it again")
    now_ms = board["now_ms"]
    mates = _newest(board["mates"])
    known = {name.casefold(): _thousandths(each) for name, each in capacities_wh.items()}
    names = {str(each["name"]).casefold() for each in mates}
    for name in capacities_wh:
        if name.casefold() not in names:
            raise ChargeError(f"nobody on the board is called '{name}'")
    kept = [each for each in mates if not _why_not(each)]
    devices = [_device(each, known.get(str(each["name"]).casefold())) for each in kept]
    plan = plan_charging(supply, [each.thirsty for each in devices])
    return {
        "now_ms": now_ms,
        "budget_wh": supply.budget_mwh / 1000,
        "spent_wh": _rounded(plan.spent_mwh / 1000),
        "sockets": supply.sockets,
        "watts": supply.socket_mw / 1000,
        "efficiency_pct": supply.efficiency_pct,
        "turn_min": supply.turn_min,
        "ends_ms": now_ms + supply.horizon_min * _MINUTE_MS,
        "first_empty_ms": _first_ms(plan.empty_min, now_ms),
        "first_empty_uncharged_ms": _first_ms(plan.uncharged_min, now_ms),
        "turns": list(_turns(plan, kept, now_ms)),
        "devices": list(_lines(plan, kept, devices, now_ms)),
        "left_out": [{**_who(each), "reason": _why_not(each)} for each in mates if _why_not(each)],
    }


@dataclass(frozen=True, slots=True)
class _Known:
    thirsty: Thirsty
    is_capacity_assumed: bool
    is_drain_assumed: bool


def _newest(mates: Iterable[Json]) -> list[Json]:
    """Return one line for each device: whoever is of two squads has two, one of them older."""
    found: dict[str, Json] = {}
    for each in mates:
        before = found.get(each["node"])
        if before is None or _at_ms(each) > _at_ms(before):
            found[each["node"]] = each
    return list(found.values())


def _at_ms(mate: Json) -> int:
    return 0 if mate["battery"] is None else int(mate["battery"]["at_ms"])


def _why_not(mate: Json) -> str:
    """Return why a mate stands in no plan, one word; empty for one that does."""
    if mate["is_revoked"]:
        return "revoked"
    if mate["battery"] is None:
        return "unknown"
    return "charging" if mate["battery"]["is_charging"] else ""


def _device(mate: Json, capacity_mwh: int | None) -> _Known:
    battery = mate["battery"]
    usual = USUAL[DeviceClass[str(mate["device"]).upper() or DeviceClass.PHONE.name]]
    is_capacity_assumed = capacity_mwh is None
    holds_mwh = _thousandths(usual.capacity_wh) if capacity_mwh is None else capacity_mwh
    drain_mw = round(holds_mwh * battery["drain_pct_per_h"] / 100)
    is_drain_assumed = not drain_mw
    drain_mw = drain_mw or _thousandths(usual.drain_w)
    told_mwh = holds_mwh * battery["level_pct"] / 100
    used_mwh = drain_mw * battery["age_s"] / 3600
    return _Known(
        Thirsty(
            level_mwh=max(0, round(told_mwh - used_mwh)),
            capacity_mwh=holds_mwh,
            drain_mw=drain_mw,
            rank=_RANKS.get(mate["role"], _RANK_OF_OTHERS),
        ),
        is_capacity_assumed,
        is_drain_assumed,
    )


def _turns(plan: ChargePlan, mates: list[Json], now_ms: int) -> Iterator[Json]:
    for each in plan.turns:
        yield {
            **_who(mates[each.device]),
            "start_ms": now_ms + each.start_min * _MINUTE_MS,
            "end_ms": now_ms + each.end_min * _MINUTE_MS,
        }


def _lines(
    plan: ChargePlan, mates: list[Json], devices: list[_Known], now_ms: int
) -> Iterator[Json]:
    rows = zip(mates, devices, plan.uncharged_min, plan.empty_min, strict=True)
    for mate, device, uncharged_min, empty_min in rows:
        thirsty = device.thirsty
        yield {
            **_who(mate),
            "level_pct": round(100 * thirsty.level_mwh / thirsty.capacity_mwh),
            "told_pct": mate["battery"]["level_pct"],
            "age_s": mate["battery"]["age_s"],
            "is_stale": mate["battery"]["is_stale"],
            "capacity_wh": thirsty.capacity_mwh / 1000,
            "is_capacity_assumed": device.is_capacity_assumed,
            "drain_w": thirsty.drain_mw / 1000,
            "is_drain_assumed": device.is_drain_assumed,
            "empty_uncharged_ms": _at(uncharged_min, now_ms),
            "empty_ms": _at(empty_min, now_ms),
        }


def _who(mate: Json) -> Json:
    return {"name": mate["name"], "node": mate["node"]}


def _first_ms(empty_min: Iterable[Fraction | None], now_ms: int) -> int:
    return _at(min((each for each in empty_min if each is not None), default=None), now_ms)


def _at(empty_min: Fraction | None, now_ms: int) -> int:
    return 0 if empty_min is None else now_ms + int(empty_min * _MINUTE_MS)


def _thousandths(value: float) -> int:
    """Return watts in milliwatts, watt-hours in milliwatt-hours. Raises: ChargeError."""
    if not math.isfinite(value):
        raise ChargeError("energy and power are numbers")
    return round(1000 * value)


def _rounded(value: Fraction) -> float:
    return round(float(value), 1)
