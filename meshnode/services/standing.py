"""What somebody is to an alarm by the documents in force, and why a step of theirs is refused."""

from __future__ import annotations

from typing import Final

from meshnode.directory import Directory
from meshnode.errors import SendError
from protocol.alarms import Standing, Step
from protocol.identity import Role
from protocol.ids import BundleId, NodeId

__all__ = ["no_right", "standing_of"]

_NOBODY: Final = frozenset({Role.RELAY, Role.GATEWAY})
"""Machines without a person in front of them."""


def standing_of(directory: Directory, zone: int, raiser: NodeId, name: BundleId) -> Standing:
    """Return what the author of a step is to an alarm, by the documents in force."""
    member = directory.member(name.author)
    if directory.is_astray(name.author, name.incarnation, name.seq):
        return Standing.NONE
    if name.author == raiser:
        return Standing.RAISER
    if member is None or member.zone != zone or member.role in _NOBODY:
        return Standing.NONE
    return Standing.OPERATOR if member.role is Role.OPERATOR else Standing.MEMBER


def no_right(step: Step, standing: Standing) -> SendError:
    """Return why somebody of this standing may not take a step."""
    if standing is Standing.NONE:
        return SendError(
            "no_right",
            "nobody sits in front of a gateway or a relay: answer on the device of an operator or "
            "of somebody of the zone",
        )
    if step is Step.CLOSED:
        return SendError(
            "no_right", "only its agent, operators and members of the zone close an alarm"
        )
    return SendError("no_right", "whoever raised an alarm cannot answer it: others do")
