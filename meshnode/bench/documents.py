"""What a new revocation list costs a whole authority's fleet: bytes of a contact, time to force.

Two real sessions speak over pieces of bytes, one of them for a node that holds the documents of
the authority in a real store and takes in what the other brings. Signing is not measured. Source:
wire-format 6.4, 6.5, 7.8, security 2.9.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import trio

from meshnode.authority_cards import CardKind, make_card
from meshnode.authority_documents import ROOT_CARDS, WIPE_CARDS, first_root
from meshnode.authority_keys import HybridKey
from meshnode.enrol import make_keys
from meshnode.events import Events
from meshnode.membership import Membership, record_of_document
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime, system_runtime
from meshnode.store import documents
from meshnode.store.engine import Store, open_store
from meshnode.trust import key_of
from protocol.authority import (
    DocumentClass,
    Member,
    RosterBody,
    SignedDocument,
    Unit,
    build,
    unit_signer,
)
from protocol.guards import PASS_MS_MAX, REVOCATIONS_MAX
from protocol.identity import DeviceClass, Rights, Role
from protocol.ids import NodeId, node_id_of, squad_id_of
from protocol.issuing import issue_badge, make_regional, make_root, make_unit
from protocol.orders import Revocation, RevocationBody
from protocol.reports import Standing
from protocol.session import (
    DocumentKey,
    DocumentReceived,
    DocumentsReceived,
    DocumentsWanted,
    Event,
    HelloReceived,
    LocalHello,
    SessionRole,
    SyncSession,
    messages,
)
from protocol.session.frames import FrameType, encode_frame
from protocol.witnessed import PassBody

__all__ = ["LISTS", "STEPS", "measure"]

OnStep = Callable[[int], None]
Versions = Mapping[DocumentKey, tuple[int, int]]
LISTS: Final = 20
"""Lists of rising version that one measurement brings: what a disk takes depends on luck."""
STEPS: Final = LISTS + 2
"""Steps of a measurement with so many lists: documents made, taken in, and each list."""
_SCHEMA: Final = 1
_PIECE_BYTES: Final = 65_536
_SQUADS_PER_ZONE: Final = 60
"""Some 3,000 devices, the largest zone."""
_SQUAD_LEAST: Final = 40
_SQUAD_MOST: Final = 60
_LAST_GOOD_SEQ: Final = 40_000
"""A device that wrote for months before it was lost: its number takes three bytes."""


class _Authority:
    """The documents of one authority, signed as its folder and its cards sign them."""

    def __init__(self, runtime: Runtime) -> None:
        self._now_ms = runtime.now_ms()
        self._incarnation = int.from_bytes(runtime.entropy(4), "big")
        root = make_root(self._now_ms)
        self._regional = make_regional(root, 1, self._now_ms)
        self._roster_key = HybridKey.generate()
        operator = make_card(CardKind.OPERATOR, 1, "operator 1", 1)
        cards = [make_card(CardKind.WIPE, 1 + each, "holder", 1) for each in range(WIPE_CARDS)]
        cards += [make_card(CardKind.ROOT, 1 + each, "holder", 1) for each in range(ROOT_CARDS)]
        self._list_key = operator.key(DocumentClass.REVOCATION)
        self.root = first_root(
            "measured",
            root.certificate,
            self._roster_key.public,
            [operator, *cards],
            self._now_ms,
        )
        self.devices: list[NodeId] = []

    def rosters(self, identities: int) -> Iterator[SignedDocument]:
        """Yield rosters until there are so many devices. Cost: about 0.1 ms per device."""
        number = 0
        while len(self.devices) < identities:
            # Sizes from 40 to 60 in turn; the last roster has what is left.
            size = _SQUAD_LEAST + 8 * number % (_SQUAD_MOST - _SQUAD_LEAST + 1)
            members = self._members(min(size, identities - len(self.devices)))
            self.devices += [member.node for member in members]
            zone, name = 1 + number // _SQUADS_PER_ZONE, f"squad {number}"
            body = RosterBody(Unit.SQUAD, zone, squad_id_of(zone, name), name, members)
            signers = self._roster_key.signers
            yield build(
                DocumentClass.ROSTER, body.scope, (1, 1), self._now_ms, body.encode(), signers
            )
            number += 1

    def _members(self, count: int) -> tuple[Member, ...]:
        first = len(self.devices)
        keys = [make_keys().public[0] for _ in range(count)]
        members = [
            Member(
                key,
                Role.AGENT if number else Role.LEADER,
                DeviceClass.PHONE,
                f"agent {first + number}",
            )
            for number, key in enumerate(keys)
        ]
        return tuple(sorted(members, key=lambda member: member.public_key))

    def guest(self) -> SignedDocument:
        """Return the pass of a device that a leader enrolled in the field."""
        squads = (squad_id_of(1, "squad 0"),)
        unit = make_unit(self._regional, 1, squads, self._now_ms)
        key, _link_key = make_keys().public
        rights = Rights(Role.AGENT, 1, squads, DeviceClass.PHONE)
        chain = issue_badge(unit, key, rights, self._now_ms)
        body = PassBody("guest", self._now_ms + PASS_MS_MAX, chain).encode()
        signers = [unit_signer(unit.key)]
        return build(DocumentClass.PASS, node_id_of(key), (1, 1), self._now_ms, body, signers)

    def revocations(self, version: int, count: int) -> SignedDocument:
        """Return the card's list of `version`, with the first `count` devices on it."""
        entries = [
            Revocation(node, self._now_ms, self._incarnation, _LAST_GOOD_SEQ)
            for node in sorted(self.devices[:count])
        ]
        scope, body = self._list_key.signers[0].signer_id, RevocationBody(tuple(entries)).encode()
        signers = self._list_key.signers
        return build(DocumentClass.REVOCATION, scope, (1, version), self._now_ms, body, signers)


def measure(
    identities: int = 18_000,
    revocations: int = 50,
    lists: int = LISTS,
    on_step: OnStep = lambda _done: None,
) -> dict[str, Any]:
    """Return what it costs to bring `lists` new revocation lists to a node, one a contact.

    Bytes count both ways, with the heads of frames and without the two HELLOs, which are the same
    whatever documents there are. The node holds the pass of one guest, too. `merge_ms` is wall
    time, median, from the list as it came to the node's new view of trust: both signatures
    checked, saved on the disk, united with all rosters; `merge_cpu_ms` is the processor time of
    it. `on_step` is told how many of `lists` + 2 steps are done. Raises: ValueError if the
    numbers do not fit together. Cost: about 0.15 ms for each identity, 15 ms for each list.
    """
    if not 1 <= revocations <= min(identities, REVOCATIONS_MAX) or lists < 1:
        raise ValueError(f"1 <= revocations <= identities, {REVOCATIONS_MAX} must hold")
    return trio.run(_measure, identities, revocations, lists, on_step)


async def _measure(
    identities: int, revocations: int, lists: int, on_step: OnStep
) -> dict[str, Any]:
    runtime = system_runtime()
    authority = _Authority(runtime)
    rosters = list(authority.rosters(identities))
    on_step(1)
    contacts = []
    with tempfile.TemporaryDirectory(prefix="meshnode-bench-") as name:
        async with open_store(Path(name) / "store.sqlite", runtime) as store:
            # One device more on each, so that the last one has them all.
            counts = [max(0, revocations - lists + each) for each in range(lists + 1)]
            held = [*rosters, authority.guest(), authority.revocations(1, counts[0])]
            node = await _node(store, runtime, authority.root, held)
            current = _meet({}, node.versions, node.versions)
            on_step(2)
            for version, count in enumerate(counts[1:], 2):
                newer = authority.revocations(version, count)
                contacts.append(await _bring(node, newer))
                on_step(version + 1)
    return {
        "schema": _SCHEMA,
        "identities": len(authority.devices),
        "rosters": len(rosters),
        "revocations": len(node.trust.revoked),
        "lists": lists,
        "root_bytes": len(authority.root.raw),
        "roster_bytes": round(median(len(each.raw) for each in rosters)),
        "rosters_bytes": sum(len(each.raw) for each in rosters),
        "list_bytes": len(newer.raw),
        "new_list_bytes": max(each.bytes for each in contacts),
        "current_bytes": current.bytes,
        "merge_ms": round(median(each.merge_ms for each in contacts), 2),
        "merge_ms_max": round(max(each.merge_ms for each in contacts), 2),
        "merge_cpu_ms": round(median(each.merge_cpu_ms for each in contacts), 2),
    }


async def _node(
    store: Store, runtime: Runtime, root: SignedDocument, held: Sequence[SignedDocument]
) -> Membership:
    """Return what a node knows that was enrolled with `root` and has taken in the others."""
    record = record_of_document(root, runtime.now_ms())
    await store.write(lambda tx: documents.put(tx, record))
    node = await Membership.load(store, runtime, Events(), Metrics())
    taken = await node.accept([each.raw for each in held])
    assert taken == len(held), "all of them were signed as the root demands"
    return node


# --- one contact -------------------------------------------------------------------------------


@dataclass(slots=True)
class _Contact:
    """What the documents of one session took."""

    brought: list[bytes] = field(default_factory=list)
    """Documents that came, raw."""
    bytes: int = 0
    """Both ways, HELLOs apart."""
    merge_ms: float = 0.0
    """Wall time until what came was in force."""
    merge_cpu_ms: float = 0.0
    """Processor time of that, all threads."""


async def _bring(node: Membership, newer: SignedDocument) -> _Contact:
    """Let a peer that holds all that `node` holds, and a newer list, meet it."""
    key = key_of(newer)
    ours = {**node.versions, key: (newer.epoch, newer.version)}
    contact = _meet({key: newer.raw}, ours, node.versions)
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    taken = await node.accept(contact.brought)
    contact.merge_cpu_ms = (time.process_time() - started_cpu_s) * 1_000
    contact.merge_ms = (time.perf_counter() - started_s) * 1_000
    assert taken == 1, "the peer brought the list alone"
    assert node.versions[key] == (newer.epoch, newer.version), "it is in force"
    return contact


def _meet(raws: Mapping[DocumentKey, bytes], ours: Versions, theirs: Versions) -> _Contact:
    """Let two sessions exchange documents, of which the one that dials gives `raws`."""
    hellos = [LocalHello((b"badge",), bytes(64), versions) for versions in (ours, theirs)]
    ends = (
        SyncSession(SessionRole.INITIATOR, hellos[0], 0),
        SyncSession(SessionRole.RESPONDER, hellos[1], 0),
    )
    contact, is_saying = _Contact(), True
    while is_saying:
        is_saying = False
        for end, other in (ends, ends[::-1]):
            data = end.data_to_send(_PIECE_BYTES, 0)
            is_saying = is_saying or bool(data)
            contact.bytes += len(data)
            other.receive_data(data, 0)
            while (event := other.next_event()) is not None:
                _answer(other, event, raws, contact)
    # Each said one HELLO and, as nobody gave it anything to reconcile, nothing after documents.
    contact.bytes -= sum(
        len(encode_frame(FrameType.HELLO, messages.encode_hello(hello))) for hello in hellos
    )
    return contact


def _answer(
    end: SyncSession, event: Event, raws: Mapping[DocumentKey, bytes], contact: _Contact
) -> None:
    match event:
        case HelloReceived():
            end.admit(bytes(16))
        case DocumentsWanted(keys):
            end.supply_documents([raws[key] for key in keys])
        case DocumentReceived(raw):
            contact.brought.append(raw)
        case DocumentsReceived():
            end.documents_applied(Standing.FULL)
