"""Checks of the store and of the node over it."""

from __future__ import annotations

from typing import Final

from meshnode.doctor.findings import Facts, Finding, Level
from meshnode.errors import StoreError
from meshnode.store.integrity import integrity_faults
from protocol.errors import MeshError

__all__ = ["check_lease", "check_lock", "check_messages", "check_node", "check_store"]

_HOUR_MS: Final = 3_600_000


def check_store(facts: Facts) -> Finding:
    """The database opens and its pages are whole."""
    path = facts.home / "store.sqlite"
    fix = "Move store.sqlite away and enrol again; others bring back what they carry"
    if isinstance(facts.status, StoreError):
        return Finding("store", Level.FAIL, str(facts.status), fix)
    if not path.exists():
        return Finding(
            "store", Level.WARN, "There is no store yet", "It is made when the device is enrolled"
        )
    try:
        faults = integrity_faults(path)
    except StoreError as error:
        return Finding("store", Level.FAIL, str(error), "Use the account that owns the home")
    if faults:
        return Finding("store", Level.FAIL, f"The store is damaged: {faults[0]}", fix)
    return Finding("store", Level.OK, "The store is whole")


def check_node(facts: Facts) -> Finding:
    """The node runs and answers."""
    if facts.status is None:
        return Finding(
            "node", Level.WARN, "There is no node to ask yet", "Mend what is wrong above first"
        )
    if isinstance(facts.status, MeshError):
        return Finding(
            "node", Level.FAIL, str(facts.status), "Mend what is wrong above, or start it again"
        )
    if not facts.is_running:
        return Finding(
            "node", Level.WARN, "The node is not running", "Start it with 'meshnode run'"
        )
    return Finding("node", Level.OK, "The node is running")


def check_lock(facts: Facts) -> Finding:
    """The agent's keys are open, and something protects them."""
    if not isinstance(facts.status, dict):
        return Finding("lock", Level.UNKNOWN, "The agent's keys cannot be looked at yet")
    lock = facts.status["lock"]
    words = "The agent's keys open by themselves when the device starts"
    if lock["protection"] == "hardware":
        words = "The agent's keys open by a secret that is bound to this machine"
    elif lock["protection"] == "words":
        words = "The agent's keys open by a secret alone: its length is the only wall"
    if facts.is_running and lock["is_locked"]:
        fix = "Run 'meshnode unlock' to read and write; it carries for others all the same"
        return Finding("lock", Level.WARN, f"The device is locked. {words}", fix)
    return Finding("lock", Level.OK, words)


def check_lease(facts: Facts) -> Finding:
    """The centre was heard of lately."""
    lock = facts.status["lock"] if isinstance(facts.status, dict) else {}
    standing = lock.get("lease", "none")
    if standing == "none":
        return Finding("lease", Level.OK, "No lease is counted here")
    hours = lock["beacon_age_ms"] // _HOUR_MS
    fix = "Come near a device that has met the centre lately"
    if standing == "ended":
        words = f"The newest beacon is {hours} hours old: the agent's keys stay locked"
        fix = (
            "Come near a device that has met the centre lately; until then the secret raises an SOS"
            " and opens nothing else"
        )
        return Finding("lease", Level.FAIL, words, fix)
    left = lock["lease_left_ms"] // _HOUR_MS
    words = f"The newest beacon is {hours} hours old; the agent's keys lock in {left} hours"
    if standing == "amber":
        return Finding("lease", Level.WARN, words, fix)
    return Finding("lease", Level.OK, words)


def check_messages(facts: Facts) -> Finding:
    """Nothing waits for a key."""
    if not isinstance(facts.status, dict):
        return Finding("messages", Level.UNKNOWN, "No messages can be looked at yet")
    waiting, unopened = facts.status["messages"].get("waiting", 0), facts.status["unopened"]
    if waiting:
        return Finding(
            "messages",
            Level.WARN,
            f"{waiting} messages wait for a recipient's key, or for the next hour",
            "Meet the recipient, or import the authority's newest rosters; meshnode message NUMBER"
            " says what one waits for",
        )
    if unopened:
        return Finding(
            "messages",
            Level.WARN,
            f"{unopened} messages for this device cannot be opened yet",
            "Their author's node must come into reach to give the key",
        )
    return Finding("messages", Level.OK, "No message waits for a key")
