"""A network of two zones for tests: the national folder and the one of a further zone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from meshnode.authority_roots import HeldCard
from meshnode.authority_zone_founding import accept_zone, request_zone
from protocol.identity import Role
from protocol.zones import ZoneAnswer, ZoneRequest
from tests.meshnode.enrolling import (
    NOW_MS,
    PASSPHRASE,
    CountedEntropy,
    enrol,
    make_authority,
    opened,
)

__all__ = ["FURTHER", "ask", "certify", "make_country", "make_zone"]

FURTHER = (8, "Maurienne")
"""Number and name of the further zone; that of the national folder is 7."""


def ask(home: Path, place: tuple[int, str] = FURTHER) -> ZoneRequest:
    """Make a zone's keys and its request in `home`."""
    entropy = CountedEntropy()
    return request_zone(home, PASSPHRASE, place, NOW_MS, entropy, scrypt_cost=2)


def certify(national: Path, request: ZoneRequest, brought: Sequence[HeldCard] = ()) -> ZoneAnswer:
    """Let the zone of a request in, with the cards `brought` and those that lie in the folder."""
    with opened(national) as authority:
        holders = authority.root_holders(brought, NOW_MS)
        return authority.certify_zone(request, holders, NOW_MS)


def make_zone(national: Path, home: Path, place: tuple[int, str] = FURTHER) -> None:
    """Make the folder of a further zone in `home`, from request to answer."""
    answer = certify(national, ask(home, place))
    accept_zone(home, PASSPHRASE, answer, NOW_MS, CountedEntropy())


def make_country(folder: Path) -> Path:
    """Make the national folder `hq` with Bob, and that of a further zone, `zone`, with Yann."""
    make_authority(folder / "hq")
    with opened(folder / "hq") as authority:
        enrol(authority, folder / "bob", "bob")
    make_zone(folder / "hq", folder / "zone")
    with opened(folder / "zone") as authority:
        enrol(authority, folder / "yann", "yann", Role.AGENT, ["Modane"])
    return folder
