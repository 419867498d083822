"""A small network for measurements: authors, a reader elsewhere, two carriers that read nothing.

The authors are gateways, and wrote no more than their quotas allow: what comes over at once when
two carriers meet. Homes are made once, whole, by a real enrolment; each run works on copies.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

from meshnode.author import Author, Draft
from meshnode.authority_home import AuthorityHome, Network
from meshnode.config import Settings
from meshnode.enrol import load_identity, open_keys, read_invitation
from meshnode.enrolled import complete, request_for
from meshnode.node import Node
from meshnode.running import open_home
from meshnode.runtime import Runtime
from meshnode.store import keyring
from meshnode.store.engine import Transaction
from meshnode.store.keyring import KeyPurpose
from protocol.armour import TextForm, armour
from protocol.bundle import Scope, Suite
from protocol.certificates import badge_key_untrusted
from protocol.identity import DeviceClass, Role
from protocol.ids import squad_id_of
from protocol.limits import BATCH_BUNDLES_MAX, CHAIN_MESSAGES_MAX, Kind
from protocol.quota import CENTRE

__all__ = ["BODY_BYTES", "WARM_UP", "Homes", "enrol", "make_homes", "take_in"]

BODY_BYTES = 200
"""Sealed body of each measured bundle: a text of three lines."""
WARM_UP = 250
"""Bundles of the contact before the measured one: nodes in the field have met before."""
_PASSPHRASE = "a passphrase that protects nothing but this measurement"
_SQUAD = "measured"
_STEP_MS = 1_000
"""From one bundle of an author to its next: 3,600 an hour, within a gateway's quota of texts."""
_OF_ONE_AUTHOR_MAX = 120_000
"""Bundles of one author, so that its share of a store has room for them: about 80 MB of 100."""


@dataclass(frozen=True, slots=True)
class Homes:
    """Two enrolled carriers, and what one of them has to hand over."""

    holder: Path
    """Home of the device that will hold the bundles; it holds those for warming up."""
    carrier: Path
    """Home of a relay or gateway: it takes every bundle and reads none."""
    anchors: tuple[bytes, ...]
    """DER certificates that both trust."""
    author_keys: dict[bytes, bytes]
    """{node id: 32 raw bytes}: whose signatures are on the bundles; one author up to 120,000."""
    warm_up: tuple[bytes, ...]
    """Containers for the contact before the measured one."""
    bundles: tuple[bytes, ...]
    """Containers for the measured contact, for a squad that neither is in."""


async def make_homes(
    folder: Path, messages: int, runtime: Runtime, carrier: Role = Role.RELAY
) -> Homes:
    """Enrol authors and two carriers in `folder`, and write `messages` bundles.

    `carrier` is the role of the one that takes them. Cost: about 1 ms a bundle.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shares = range(0, WARM_UP + messages, _OF_ONE_AUTHOR_MAX)
    authors = {
        f"author {number}": min(_OF_ONE_AUTHOR_MAX, WARM_UP + messages - first)
        for number, first in enumerate(shares)
    }
    hq = folder / "authority"
    hq.mkdir()
    network = Network("Bench", 1, "Bench")
    AuthorityHome.create(hq, _PASSPHRASE, network, runtime.now_ms(), runtime.entropy, scrypt_cost=2)
    with AuthorityHome.open(hq, _PASSPHRASE, runtime.entropy) as authority:
        for name, role, squads in (
            ("reader", Role.AGENT, [_SQUAD]),
            *((name, Role.GATEWAY, []) for name in authors),
            ("carrier", carrier, []),
            ("holder", Role.AGENT, ["carrying"]),
        ):
            await enrol(authority, folder / name, name, role, squads, runtime)
        documents = [document.raw for document in authority.state.documents]
    written: list[bytes] = []
    for name, share in authors.items():
        written += await _write(folder / name, share, runtime)
    async with open_home(folder / "carrier", Settings(), runtime) as node:
        await node.membership.accept(documents)
    async with open_home(folder / "holder", Settings(), runtime) as node:
        await node.membership.accept(documents)
        await take_in(node, written[:WARM_UP])
        anchors = node.membership.root.anchors
    keys = dict(_key_of(folder / name, runtime) for name in authors)
    for name in authors:
        # They hold all of it once more.
        shutil.rmtree(folder / name)
    return Homes(
        folder / "holder",
        folder / "carrier",
        anchors,
        keys,
        tuple(written[:WARM_UP]),
        tuple(written[WARM_UP:]),
    )


def _key_of(home: Path, runtime: Runtime) -> tuple[bytes, bytes]:
    identity = load_identity(home, open_keys(home, runtime).open_vault())
    return identity.node, badge_key_untrusted(identity.badge_chain[0])


async def take_in(node: Node, raws: Sequence[bytes]) -> None:
    """Let a node receive bundles as from a file. Raises: StoreError."""
    for start in range(0, len(raws), BATCH_BUNDLES_MAX):
        batch = [(0, raw) for raw in raws[start : start + BATCH_BUNDLES_MAX]]
        await node.relay.receive(None, batch)


async def enrol(
    authority: AuthorityHome,
    home: Path,
    name: str,
    role: Role,
    squads: Sequence[str],
    runtime: Runtime,
) -> None:
    """Enrol one device whole: invitation, request, answer. Cost: about 50 ms."""
    invitation = authority.invite(name, role, DeviceClass.BOX, squads, runtime.now_ms())
    text = armour(TextForm.INVITATION, invitation.encode())
    pending = await request_for(home, read_invitation(text, runtime.now_ms()), runtime)
    answer = authority.issue(pending.text, runtime.now_ms())
    await complete(home, armour(TextForm.ANSWER, answer.encode()), runtime)


async def _write(home: Path, messages: int, runtime: Runtime) -> list[bytes]:
    """Write bundles whose bodies are random: a carrier cannot tell them from sealed ones."""
    scope = Scope.for_squad(1, squad_id_of(1, _SQUAD))
    written: list[bytes] = []
    async with open_home(home, Settings(), runtime) as node:
        keys = await node.store.read(lambda conn: keyring.network_keys(conn, KeyPurpose.NETWORK))
        network_key = next(iter(keys.values()))
        began_ms = runtime.now_ms() - messages * _STEP_MS
        at = count(began_ms, _STEP_MS)
        earlier = replace(runtime, now_ms=lambda: next(at))
        author = Author(
            node.identity.node, node.require_desk().sign, earlier, network_key, lambda: CENTRE
        )

        def write(tx: Transaction, numbers: range) -> None:
            for number in numbers:
                draft = Draft(
                    Kind.TEXT, Suite.CHAIN, scope, runtime.entropy(8), number % CHAIN_MESSAGES_MAX
                )
                made = author.make(tx, draft, lambda _header: runtime.entropy(BODY_BYTES))
                assert made.bundle is not None, "what was made here is a bundle"
                written.append(made.bundle.raw)

        for first in range(0, messages, BATCH_BUNDLES_MAX):
            numbers = range(first, min(first + BATCH_BUNDLES_MAX, messages))
            await node.store.write(partial(write, numbers=numbers))
    return written
