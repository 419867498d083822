"""A region and a leader with a unit authority, for tests: three homes in a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from meshnode.authority_founding import accept_grant, request_unit
from protocol.identity import Role
from tests.meshnode.enrolling import (
    NOW_MS,
    PASSPHRASE,
    CountedEntropy,
    enrol,
    make_authority,
    opened,
)

__all__ = ["make_region", "make_unit_home"]


def make_region(home: Path, devices: Path) -> None:
    """Make a region with the leader Léa of Queyras and Ubaye, agent Bob, and gateway Gate."""
    make_authority(home)
    with opened(home) as region:
        enrol(region, devices / "lea", "lea", Role.LEADER, ["Queyras", "Ubaye"])
        enrol(region, devices / "bob", "bob", Role.AGENT, ["Queyras"])
        enrol(region, devices / "far", "far", Role.AGENT, ["Vars"])
        enrol(region, devices / "gate", "gate", Role.GATEWAY, [])


def make_unit_home(
    region: Path, home: Path, squads: Sequence[str] = ("Queyras",), now_ms: int = NOW_MS
) -> None:
    """Give the leader of `region` a unit authority in `home`, from request to grant."""
    request = request_unit(home, PASSPHRASE, now_ms, CountedEntropy(), scrypt_cost=2)
    with opened(region) as authority:
        grant = authority.grant(request, "lea", squads, now_ms)
        documents = [document.raw for document in authority.state.documents]
    accept_grant(home, PASSPHRASE, grant.text, documents, now_ms, CountedEntropy())
