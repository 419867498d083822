"""Enrolled devices without files: an authority, its documents, badges and first prekeys.

Everything that has a say in what a node does follows from the seed. Certificates cannot (the
library draws serial numbers and ECDSA signatures itself), but nothing is ordered by them; they are
drawn again until they have one size, so that even the time they take on a link repeats.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from meshnode.desk import DeskParts
from meshnode.enrol import DeviceKeys, FirstPrekey, first_prekey
from meshnode.enrolled import save_enrolled
from meshnode.links.tls import TLSFiles
from meshnode.node import NodeIdentity
from meshnode.runtime import Runtime
from meshnode.store.engine import Store, Transaction
from protocol.authority import (
    DocumentClass,
    Member,
    RootBody,
    RosterBody,
    SignedDocument,
    Signer,
    SignerRule,
    Unit,
    build,
    decode_root_untrusted,
    document_signer,
    root_signer,
)
from protocol.enrolment import Enrolled
from protocol.envelope import Sealer
from protocol.identity import (
    Badge,
    DeviceClass,
    Rights,
    Role,
    binding_message,
    verify_badge_untrusted,
)
from protocol.ids import NodeId, squad_id_of
from protocol.issuing import (
    RegionalAuthority,
    RootAuthority,
    issue_badge,
    issue_link,
    make_regional,
    make_root,
    public_key_der,
)
from protocol.network_keys import KEY_BYTES, Secrets, epoch_at

__all__ = ["Cards", "Device", "DevicePlan", "Fleet", "make_fleet", "memory_certificate"]

ZONE = 1
"""Of a device whose scenario names no other."""
_SIGNATURE_BYTES = {"device": 71, "authority": 103}
"""Most common size in DER of an ECDSA signature by an authority (P-256), and by a root (P-384)."""
_TRIES = 1_000


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """One device as a scenario names it."""

    name: str
    """Unique in the scenario."""
    role: Role = Role.AGENT
    """What it may do."""
    squads: tuple[str, ...] = ()
    """Squads of its zone that it belongs to."""
    zone: int = ZONE
    """Its zone, 1-65535."""
    radio_budget: str = ""
    """What its radio may cost, as in `budgets.bearers` without the name; empty where it is free."""


@dataclass(frozen=True, slots=True)
class Device:
    """One enrolled device."""

    plan: DevicePlan
    """As the scenario names it."""
    badge: Badge
    """Verified."""
    keys: DeviceKeys = field(repr=False)
    """Its own keys."""
    link_chain: tuple[bytes, ...]
    """DER, link certificate first; shown by TLS."""

    @property
    def node(self) -> NodeId:
        """16 bytes."""
        return self.badge.node

    @property
    def identity(self) -> NodeIdentity:
        """Who it is, as a node needs it."""
        certificates = (memory_certificate(self.plan.name), *self.link_chain[:1])
        binding = {each: self.keys.badge.sign(binding_message(each)) for each in certificates}
        return NodeIdentity(self.node, self.plan.zone, self.badge.chain, binding)

    def desk(self, sealer: Sealer) -> DeskParts:
        """What its agent's secret opens."""
        return DeskParts(sealer, self.keys.badge.sign)

    def write_link_files(self, folder: Path) -> TLSFiles:
        """Write link key and certificates to `folder`, as TLS takes them from files only."""
        name = self.node.hex()
        files = TLSFiles(folder / f"{name}.key.pem", folder / f"{name}.pem")
        key = self.keys.link.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain = [x509.load_der_x509_certificate(each) for each in self.link_chain]
        files.key.write_bytes(key)
        files.chain.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in chain))
        return files


@dataclass(frozen=True, slots=True)
class Cards:
    """The keys that operators hold on cards."""

    revocation: Signer
    """Revokes, alone."""
    beacon: Signer
    """Gives signs of life of the centre."""
    wipe: tuple[Signer, Signer, Signer]
    """Order wipes, any two together."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """All devices of one world and what they share."""

    devices: tuple[Device, ...]
    """In the order of the scenario."""
    documents: tuple[SignedDocument, ...]
    """Root and rosters."""
    anchor: bytes
    """DER; the root certificate that everybody trusts."""
    secrets: Secrets = field(repr=False)
    """Keys of the network, and of the first zone."""
    sos_keys: Mapping[int, bytes] = field(repr=False)
    """Key of the alarms of each zone, by its number."""
    cards: Cards = field(repr=False)
    """Who revokes, wipes and gives signs of life."""
    regional: RegionalAuthority = field(repr=False)
    """Issues badges of the first zone."""
    document_signer: Signer = field(repr=False)
    """Signs rosters."""
    root_signer: Signer = field(repr=False)
    """Signs roots, alone."""

    async def furnish(
        self, device: Device, store: Store, runtime: Runtime, sealer: Sealer
    ) -> FirstPrekey:
        """Save into an empty store what the answer of an enrolment would bring.

        Returns the first prekey. Prekeys of others come over the mesh, as in the field.
        """
        seq = await store.write(Transaction.take_seq)
        zone, now_ms = device.plan.zone, runtime.now_ms()
        prekey = first_prekey(device.keys, zone, store.incarnation, seq, now_ms, sealer)
        secrets = replace(self.secrets, sos_key=self.sos_keys[zone])
        if device.plan.role is Role.RELAY:
            secrets = secrets.for_relay()
        root = decode_root_untrusted(self.documents[0].body)
        enrolled = Enrolled(device.badge, (), root, self.documents, (), secrets)
        await save_enrolled(store, enrolled, prekey, runtime)
        return prekey


def memory_certificate(name: str) -> bytes:
    """Return what stands for the link certificate of a device on links in memory."""
    return f"link certificate of {name}".encode()


def make_fleet(
    plans: Sequence[DevicePlan],
    entropy: Callable[[int], bytes],
    now_ms: int,
    *,
    has_beacons: bool = False,
) -> Fleet:
    """Return the enrolled fleet of `plans`. Cost: about 5 ms per device.

    With `has_beacons` the root names who signs them, so that devices have leases.
    """
    root = make_root(now_ms)
    zones = sorted({plan.zone for plan in plans} or {ZONE})
    issuers = {zone: _regional(root, zone, now_ms) for zone in zones}
    documents_key = _key(entropy)
    devices = tuple(
        _device(plan, issuers[plan.zone], root.certificate, entropy, now_ms) for plan in plans
    )
    cards, rules = _cards(documents_key)
    body = RootBody(
        network_name="Simulation",
        epoch=1,
        root_keys=(public_key_der(root.key.public_key()),),
        anchors=(root.certificate,),
        rules=(
            SignerRule(DocumentClass.ROOT, 1, ()),
            SignerRule(DocumentClass.ROSTER, 1, (_raw(documents_key),)),
            *(rule for rule in rules if has_beacons or rule.cls is not DocumentClass.BEACON),
        ),
    )
    signed = [
        build(DocumentClass.ROOT, b"", (1, 1), now_ms, body.encode(), [root_signer(root.key)])
    ]
    signer = document_signer(documents_key)
    signed += [
        build(DocumentClass.ROSTER, roster.scope, (1, 1), now_ms, roster.encode(), [signer])
        for roster in _rosters(devices)
    ]
    week = epoch_at(now_ms)
    secrets = Secrets(entropy(16), entropy(KEY_BYTES), week, entropy(KEY_BYTES), week)
    sos_keys = {zones[0]: secrets.sos_key, **{zone: entropy(KEY_BYTES) for zone in zones[1:]}}
    return Fleet(
        devices,
        tuple(signed),
        root.certificate,
        secrets,
        sos_keys,
        cards,
        issuers[zones[0]],
        signer,
        root_signer(root.key),
    )


def _cards(documents_key: ed25519.Ed25519PrivateKey) -> tuple[Cards, tuple[SignerRule, ...]]:
    """Return keys that follow from the documents key, and the rules that name them."""
    seed = documents_key.private_bytes_raw()
    keys = [
        ed25519.Ed25519PrivateKey.from_private_bytes(
            hashlib.sha256(b"card" + bytes([number]) + seed).digest()
        )
        for number in range(5)
    ]
    revocation, beacon, *wipers = keys
    first, second, third = (document_signer(key) for key in wipers)
    cards = Cards(document_signer(revocation), document_signer(beacon), (first, second, third))
    return cards, (
        SignerRule(DocumentClass.REVOCATION, 1, (_raw(revocation),)),
        SignerRule(DocumentClass.WIPE, 2, tuple(sorted(_raw(key) for key in wipers))),
        SignerRule(DocumentClass.BEACON, 1, (_raw(beacon),)),
    )


def _raw(key: ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def _key(entropy: Callable[[int], bytes]) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(entropy(32))


def _device(
    plan: DevicePlan,
    regional: RegionalAuthority,
    anchor: bytes,
    entropy: Callable[[int], bytes],
    now_ms: int,
) -> Device:
    keys = DeviceKeys(_key(entropy), _key(entropy))
    squads = tuple(sorted(squad_id_of(plan.zone, name) for name in plan.squads))
    rights = Rights(plan.role, plan.zone, squads, DeviceClass.PHONE)
    for _ in range(_TRIES):
        chain = issue_badge(regional, keys.public[0], rights, now_ms)
        if _has_usual_size(chain[0], "device"):
            break
    badge = verify_badge_untrusted(chain, [anchor], now_ms)
    return Device(plan, badge, keys, issue_link(regional, keys.public[1], now_ms))


def _regional(root: RootAuthority, zone: int, now_ms: int) -> RegionalAuthority:
    for _ in range(_TRIES):
        regional = make_regional(root, zone, now_ms)
        if _has_usual_size(regional.badge_issuer, "authority"):
            break
    return regional


def _has_usual_size(certificate: bytes, kind: str) -> bool:
    parsed = x509.load_der_x509_certificate(certificate)
    is_long = 152 <= parsed.serial_number.bit_length() <= 159
    return is_long and len(parsed.signature) == _SIGNATURE_BYTES[kind]


def _rosters(devices: Sequence[Device]) -> list[RosterBody]:
    """Return one roster per squad, and that of each centre with all who belong to no squad."""
    members: dict[tuple[int, str], list[Member]] = {}
    for device in devices:
        member = Member(
            device.badge.public_key, device.plan.role, DeviceClass.PHONE, device.plan.name
        )
        zone = device.plan.zone
        for squad in device.plan.squads or ("",):
            members.setdefault((zone, squad), []).append(member)
        members.setdefault((zone, ""), [])
    rosters = []
    for (zone, name), listed in sorted(members.items()):
        unit = Unit.SQUAD if name else Unit.CENTRE
        unit_id = squad_id_of(zone, name) if name else b""
        ordered = tuple(sorted(listed, key=lambda member: member.public_key))
        rosters.append(RosterBody(unit, zone, unit_id, name or "CODT", ordered))
    return rosters
