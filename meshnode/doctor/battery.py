"""The check of the battery before a squad leaves: it must last until it is back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from meshnode.calls.sensor import told
from meshnode.client import NodeApi
from meshnode.doctor.findings import Facts, Finding, Level
from meshnode.errors import ConfigError
from meshnode.runtime import Runtime
from meshnode.sensors.readings import SensorKind
from meshnode.sensors.trying import try_sensors
from meshnode.services.charge_sheet import USUAL
from protocol.errors import MeshError
from protocol.identity import DeviceClass, rights_untrusted

__all__ = ["check_battery", "with_battery"]

_TRY_S: Final = 3.0
"""Where no node runs, sources are asked for so long: the whole check takes less than 10 s."""
_FED: Final = (DeviceClass.BOX, DeviceClass.PC, DeviceClass.SERVER)
"""Devices that may well have no battery."""


async def with_battery(api: NodeApi, facts: Facts, runtime: Runtime) -> Facts:
    """Return the facts with what the battery says, and what the board forecasts of it.

    Raises: MeshError.
    """
    reports: Sequence[dict[str, Any]] = ()
    if api.is_running:
        reports = await api.sensors()
    elif not isinstance(facts.settings, ConfigError):
        wanted = [
            each
            for each in facts.settings.sensors.sensors(facts.home)
            if SensorKind.BATTERY in each.kinds
        ]
        found = await try_sensors(wanted, runtime, _TRY_S)
        reports = [told(each, show_position=False) for each in found]
    sources = tuple(each for each in reports if each["kind"] == SensorKind.BATTERY.value)
    return replace(facts, battery=sources)


def check_battery(facts: Facts) -> Finding:
    """The battery tells its level, and lasts until the squad is back."""
    assert facts.plan is not None, "departure checks are made with a plan"
    if facts.battery is None:
        return Finding("battery", Level.UNKNOWN, "The battery cannot be looked at yet")
    known = [each for each in facts.battery if each["reading"] is not None]
    device = _device_class(facts)
    if not known:
        return _unknown(facts.battery, device)
    reading = next((each for each in known if each["is_chosen"]), known[0])["reading"]
    level, hours = reading["level_pct"], facts.plan.hours
    if reading["is_charging"]:
        return Finding("battery", Level.OK, f"The battery is charging, at {level:.0f} %")
    usual = USUAL[device]
    lasts = level / 100 * usual.capacity_wh / usual.drain_w
    if lasts < hours:
        # What a device uses differs by half from one of its kind to another.
        return Finding(
            "battery",
            Level.FAIL if lasts < hours / 2 else Level.WARN,
            f"The battery has {level:.0f} % and lasts about {lasts:.0f} of {hours:.0f} hours",
            "Charge it before you leave, or take a power bank along",
        )
    return Finding("battery", Level.OK, f"The battery has {level:.0f} %, enough until you are back")


def _unknown(sources: Sequence[dict[str, Any]], device: DeviceClass) -> Finding:
    if device in _FED and all(each["reason"] == "missing" for each in sources):
        return Finding("battery", Level.OK, "This device has no battery")
    fix = "See 'meshnode sensors', and name another source in [sensors] of meshnode.toml"
    if any(each["refused"] for each in sources):
        return Finding("battery", Level.WARN, "What the battery tells cannot be true", fix)
    return Finding("battery", Level.WARN, "How full the battery is, nobody knows", fix)


def _device_class(facts: Facts) -> DeviceClass:
    if isinstance(facts.identity, MeshError) or not facts.identity.badge_chain:
        return DeviceClass.PHONE
    return rights_untrusted(facts.identity.badge_chain[0]).device_class
