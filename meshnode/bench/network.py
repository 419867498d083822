"""A small network for measurements: an author, a carrier that reads nothing, a reader elsewhere.

Homes are made once, whole, by a real enrolment; each run works on copies of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from meshnode.author import Author, Draft
from meshnode.authority_home import AuthorityHome, Network
from meshnode.config import Settings
from meshnode.enrol import read_invitation
from meshnode.enrolled import complete, request_for
from meshnode.running import open_home
from meshnode.runtime import Runtime
from meshnode.store import keyring
from meshnode.store.engine import Transaction
from meshnode.store.keyring import KeyPurpose
from protocol.armour import TextForm, armour
from protocol.bundle import Scope, Suite
from protocol.identity import DeviceClass, Role
from protocol.ids import squad_id_of
from protocol.limits import Kind

__all__ = ["BODY_BYTES", "Homes", "make_homes"]

BODY_BYTES = 200
"""Sealed body of each measured bundle: a text of three lines."""
_PASSPHRASE = "a passphrase that protects nothing but this measurement"
_SQUAD = "measured"
_BATCH = 250


@dataclass(frozen=True, slots=True)
class Homes:
    """Two enrolled devices, one of which has something to say."""

    author: Path
    """Home of the device that wrote the bundles."""
    carrier: Path
    """Home of a relay: it takes every bundle and reads none."""
    anchors: tuple[bytes, ...]
    """DER certificates that both trust."""
    bundles: tuple[bytes, ...]
    """Containers that the author holds for a squad the carrier is not in."""


async def make_homes(folder: Path, messages: int, runtime: Runtime) -> Homes:
    """Enrol author, reader and carrier in `folder`, and write `messages` bundles."""
    folder.mkdir(parents=True, exist_ok=True)
    hq = folder / "authority"
    hq.mkdir()
    network = Network("Bench", 1, "Bench")
    AuthorityHome.create(
        hq, _PASSPHRASE, network, runtime.now_ms(), runtime.entropy, scrypt_cost=2
    )
    with AuthorityHome.open(hq, _PASSPHRASE, runtime.entropy) as authority:
        for name, role, squads in (
            ("reader", Role.AGENT, [_SQUAD]),
            ("carrier", Role.RELAY, []),
            ("author", Role.AGENT, [_SQUAD]),
        ):
            await _enrol(authority, folder / name, name, role, squads, runtime)
        documents = [document.raw for document in authority.state.documents]
    for name in ("carrier", "author"):
        async with open_home(folder / name, Settings(), runtime) as node:
            await node.membership.accept(documents)
            anchors = node.membership.root.anchors
    written = await _write(folder / "author", messages, runtime)
    return Homes(folder / "author", folder / "carrier", anchors, written)


async def _enrol(
    authority: AuthorityHome,
    home: Path,
    name: str,
    role: Role,
    squads: Sequence[str],
    runtime: Runtime,
) -> None:
    invitation = authority.invite(name, role, DeviceClass.BOX, squads, runtime.now_ms())
    text = armour(TextForm.INVITATION, invitation.encode())
    pending = await request_for(home, read_invitation(text, runtime.now_ms()), runtime)
    answer = authority.issue(pending.text, runtime.now_ms())
    await complete(home, armour(TextForm.ANSWER, answer.encode()), runtime)


async def _write(home: Path, messages: int, runtime: Runtime) -> tuple[bytes, ...]:
    """Store bundles whose bodies are random: a carrier cannot tell them from sealed ones."""
    scope = Scope.for_squad(1, squad_id_of(1, _SQUAD))
    written: list[bytes] = []
    async with open_home(home, Settings(), runtime) as node:
        keys = await node.store.read(lambda conn: keyring.network_keys(conn, KeyPurpose.NETWORK))
        author = Author(
            node.identity.node, node.identity.sign, runtime, next(iter(keys.values()))
        )

        def write(tx: Transaction, count: int, first: int) -> None:
            for number in range(first, first + count):
                keyref, body = runtime.entropy(8), runtime.entropy(BODY_BYTES)
                draft = Draft(Kind.TEXT, Suite.CHAIN, scope, keyref, number % 2_048)
                made = author.make(tx, draft, lambda _header, body=body: body)  # type: ignore[misc]
                assert made.bundle is not None, "what was made here is a bundle"
                written.append(made.bundle.raw)

        for first in range(0, messages, _BATCH):
            count = min(_BATCH, messages - first)
            await node.store.write(lambda tx, c=count, f=first: write(tx, c, f))  # type: ignore[misc]
    return tuple(written)
