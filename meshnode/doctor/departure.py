"""Checks before a squad leaves the network: what holds now must hold until it is back."""

from __future__ import annotations

from typing import Final

from meshnode.doctor.findings import Facts, Finding, Level, Plan
from meshnode.doctor.identity import badge_dates, check_badge, check_clock
from meshnode.doctor.network import check_addresses
from meshnode.doctor.node import check_lease, check_lock
from meshnode.map_files import MAPS, map_regions

__all__ = [
    "check_badge_lasts",
    "check_bearers",
    "check_duty",
    "check_lease_lasts",
    "check_map",
    "check_mates",
    "check_open_keys",
    "check_roster",
    "check_sos_key",
    "check_trusted_clock",
]

_HOUR_MS: Final = 3_600_000
_NAMES_MAX: Final = 5
"""More names than this are counted."""
_PATH_ZOOM: Final = 13
"""From here on a map shows paths."""


def _plan(facts: Facts) -> Plan:
    assert facts.plan is not None, "departure checks are made with a plan"
    return facts.plan


def _back_ms(facts: Facts) -> int:
    """When the squad is back, Unix milliseconds."""
    return facts.now_ms + int(_plan(facts).hours * _HOUR_MS)


# --- the device ---------------------------------------------------------------------------------


def check_trusted_clock(facts: Facts) -> Finding:
    """The clock is plausible, and the node does not doubt it."""
    found = check_clock(facts)
    is_doubted = isinstance(facts.status, dict) and facts.status["is_clock_doubted"]
    if found.level is not Level.FAIL and is_doubted:
        return Finding(
            "clock",
            Level.FAIL,
            "The clock does not agree with what this device has seen of the centre",
            "Set the clock while there is a network: positions and SOS are dated by it",
        )
    return found


def check_badge_lasts(facts: Facts) -> Finding:
    """The badge is valid until the squad is back."""
    found, dates = check_badge(facts), badge_dates(facts)
    if found.level is not Level.FAIL and dates is not None and dates[1] < _back_ms(facts):
        return Finding(
            "badge",
            Level.FAIL,
            "The badge ends before you are back",
            "Have the authority enrol this device again before you leave",
        )
    return found


def check_open_keys(facts: Facts) -> Finding:
    """The agent's keys are open: a locked device cannot raise an SOS."""
    found = check_lock(facts)
    if facts.readiness is None and isinstance(facts.status, dict):
        return Finding(
            "lock",
            Level.FAIL,
            "The device is locked, and what it has for the way cannot be looked at",
            "Run 'meshnode unlock', then check again",
        )
    return found


def check_lease_lasts(facts: Facts) -> Finding:
    """The lease reaches until the squad is back."""
    found = check_lease(facts)
    lock = facts.status["lock"] if isinstance(facts.status, dict) else {}
    if found.level is Level.FAIL or lock.get("lease", "none") == "none":
        return found
    left = lock["lease_left_ms"] // _HOUR_MS
    if lock["lease_left_ms"] < _plan(facts).hours * _HOUR_MS:
        return Finding(
            "lease",
            Level.FAIL,
            f"The agent's keys lock in {left} hours, before you are back",
            "Stay near a device that meets the centre until a new beacon has come",
        )
    return Finding("lease", Level.OK, f"The lease reaches {left} hours")


# --- the squad ----------------------------------------------------------------------------------


def check_roster(facts: Facts) -> Finding:
    """The device stands in the roster of a squad, and is not revoked."""
    known = facts.readiness
    if known is None:
        return Finding("roster", Level.UNKNOWN, "The rosters cannot be looked at yet")
    fix = "See your squad leader or the authority, then import the newest documents"
    if known["is_revoked"]:
        return Finding("roster", Level.FAIL, "This device is revoked: nobody takes its words", fix)
    if known["is_member"] and not known["squads"] and facts.is_relay:
        return Finding("roster", Level.OK, "This device is a relay, which needs no squad")
    if not known["is_member"] or not known["squads"]:
        return Finding("roster", Level.FAIL, "This device stands in no squad's roster", fix)
    words = ", ".join(f"{squad['to']} ({squad['mates'] + 1})" for squad in known["squads"])
    if not any(squad["mates"] for squad in known["squads"]):
        return Finding("roster", Level.WARN, f"Nobody else stands in the roster of {words}", fix)
    return Finding("roster", Level.OK, f"This device is of {words}")


def check_mates(facts: Facts) -> Finding:
    """A key of every squad mate is here, so that each can be written to."""
    if facts.readiness is None:
        return Finding("mates", Level.UNKNOWN, "The keys of your squad cannot be looked at yet")
    names = [each["name"] for each in facts.readiness["without_key"]]
    if names:
        listed = ", ".join(names[:_NAMES_MAX])
        if len(names) > _NAMES_MAX:
            words = f"No key of {listed} and {len(names) - _NAMES_MAX} more is known here"
        else:
            words = f"No key of {listed} is known here"
        fix = "Bring the devices of your squad together once, switched on, before you leave"
        return Finding("mates", Level.WARN, words, fix)
    return Finding("mates", Level.OK, "A key of everybody in your squad is known here")


def check_sos_key(facts: Facts) -> Finding:
    """An SOS can be sealed until the squad is back."""
    known = facts.readiness
    if known is None:
        return Finding("sos", Level.UNKNOWN, "The key of an SOS cannot be looked at yet")
    if facts.is_relay:
        return Finding("sos", Level.OK, "This device is a relay: it carries an SOS and raises none")
    fix = "Stay near a device that meets the centre until the new keys have come"
    if not known["has_sos_key"]:
        return Finding("sos", Level.FAIL, "No key is here to raise an SOS with", fix)
    if known["sos_until_ms"] < facts.now_ms:
        return Finding("sos", Level.WARN, "The key to raise an SOS is of a week that is over", fix)
    if known["sos_until_ms"] < _back_ms(facts):
        words = "The key to raise an SOS is of a week that ends before you are back"
        return Finding("sos", Level.WARN, words, fix)
    return Finding("sos", Level.OK, "An SOS can be raised until you are back")


def check_duty(facts: Facts) -> Finding:
    """The shift is open: without one the squad sees no position."""
    if facts.readiness is None:
        return Finding("shift", Level.UNKNOWN, "The shift cannot be looked at yet")
    if facts.is_relay:
        return Finding("shift", Level.OK, "This device is a relay, which has no agent and no shift")
    if not facts.is_on_shift:
        return Finding(
            "shift",
            Level.WARN,
            "No shift is open: your squad will not see where you are",
            "Run 'meshnode shift open'",
        )
    return Finding("shift", Level.OK, "Your shift is open")


# --- the way ------------------------------------------------------------------------------------


def check_bearers(facts: Facts) -> Finding:
    """Something is there by which others are reached."""
    found = check_addresses(facts)
    if found.level is not Level.OK:
        return Finding(
            "bearers",
            Level.FAIL,
            "No bearer is up: this device reaches nobody",
            "Switch Wi-Fi on, or open a hotspot for your squad",
        )
    return Finding("bearers", Level.OK, found.sentence)


def check_map(facts: Facts) -> Finding:
    """A map of where the squad goes is on the device."""
    regions, broken = map_regions(facts.home)
    fix = f"Copy a map file (PMTiles) of the region into the folder '{MAPS}' of the home"
    if broken:
        words = f"These files are no maps, or not whole: {', '.join(broken[:_NAMES_MAX])}"
        return Finding("map", Level.WARN, words, fix)
    if not regions:
        return Finding("map", Level.WARN, "No map is on this device", fix)
    place = _plan(facts).place
    if place is None:
        names = ", ".join(each.name for each in regions[:_NAMES_MAX])
        return Finding("map", Level.OK, f"Maps on this device: {names}")
    shown = [each for each in regions if each.shows(*place)]
    if not shown:
        return Finding("map", Level.FAIL, "No map on this device shows where you go", fix)
    best = max(shown, key=lambda each: each.zoom_max)
    if best.zoom_max < _PATH_ZOOM:
        words = f"The map {best.name} shows no paths where you go"
        return Finding("map", Level.WARN, words, fix)
    return Finding("map", Level.OK, f"The map {best.name} shows where you go")
