"""The device's side of enrolment: an invitation in, a request out, an answer in, an identity.

Everything that waits for the answer lies in one file, sealed under the agent's secret, so a power
cut never leaves keys without their request. What a locked device needs of its identity is sealed
for the device alone: the link key, and the signature by which the badge vouches for it. The caller
saves what an answer gives in the store and then calls `finish`; until then the same answer can be
accepted again. Source: wire-format 8, security 2.1 and 2.2, finding F4.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from meshnode.errors import KeystoreError, WipedError
from meshnode.files import make_private_folder, sync_folder, write_private
from meshnode.profiles import PLAIN
from meshnode.runtime import Runtime
from meshnode.vault.keystore import KeyStore
from meshnode.vault.kinds import Tier
from meshnode.vault.vault import Vault
from protocol import bundle as bundles
from protocol import hlc
from protocol.armour import TextForm, armour
from protocol.bundle import Header, Scope, Suite
from protocol.canonical import as_array, as_bytes, as_uint, encode
from protocol.canonical import decode_untrusted as decode_record_untrusted
from protocol.certificates import badge_key_untrusted
from protocol.enrolment import (
    Enrolled,
    Invitation,
    Request,
    build_request,
    check_answer,
    decode_answer_untrusted,
    decode_invitation_untrusted,
    decode_request_untrusted,
)
from protocol.envelope import (
    PrekeySecret,
    Sealer,
    decode_prekey_secret,
    encode_prekey,
    encode_prekey_secret,
)
from protocol.errors import EnrolmentError, MalformedError, RemoteProtocolError
from protocol.identity import binding_message
from protocol.ids import NodeId, node_id_of
from protocol.limits import INVITATION_BYTES_MAX, KINDS, REQUEST_BYTES_MAX, Kind

__all__ = [
    "Accepted",
    "DeviceIdentity",
    "DeviceKeys",
    "FirstPrekey",
    "LinkSecret",
    "Pending",
    "accept_answer",
    "badge_key",
    "chain_pem",
    "finish",
    "first_prekey",
    "is_enrolled",
    "link_password",
    "load_identity",
    "load_pending",
    "make_home",
    "make_keys",
    "make_request",
    "open_keys",
    "read_invitation",
    "refuse_enrolled",
]

_PENDING = b"pending enrolment"
_BADGE = b"badge key"
_PENDING_BYTES_MAX = 2 * REQUEST_BYTES_MAX


@dataclass(frozen=True, slots=True)
class DeviceKeys:
    """The two private keys of a device, drawn at enrolment and never before."""

    badge: ed25519.Ed25519PrivateKey = field(repr=False)
    """Speaks as the device."""
    link: ed25519.Ed25519PrivateKey = field(repr=False)
    """Opens links; says nothing about the device."""

    @property
    def public(self) -> tuple[bytes, bytes]:
        """Raw public keys of badge and link."""
        return self.badge.public_key().public_bytes_raw(), self.link.public_key().public_bytes_raw()


@dataclass(frozen=True, slots=True)
class FirstPrekey:
    """The prekey that goes with the request, and the bundle that will carry it in the mesh."""

    secret: PrekeySecret
    """Opens what is sealed to it."""
    container: bytes
    """The kind-5 bundle, signed by the badge."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that waits for its answer."""

    invitation: Invitation
    """What it answers."""
    keys: DeviceKeys
    """Made for it."""
    prekey: FirstPrekey
    """Made for it."""
    request: Request
    """As it is shown."""

    @property
    def text(self) -> str:
        """The request as it is carried to the authority."""
        return armour(TextForm.REQUEST, self.request.encode())


@dataclass(frozen=True, slots=True)
class Accepted:
    """An answer that holds, and what it completes."""

    enrolled: Enrolled
    """What the answer gives: badge, documents, prekeys of others, keys of the network."""
    pending: Pending
    """What waited for it: own keys and first prekey."""

    @property
    def name(self) -> str:
        """What people call this device."""
        return self.pending.invitation.name


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """Who this device is, as its home says: the part that a locked device knows."""

    node: NodeId
    """16 bytes."""
    badge_chain: tuple[bytes, ...]
    """DER, badge first; shown in HELLO."""
    link_chain: tuple[bytes, ...]
    """DER, link certificate first; shown by TLS."""
    link_chain_path: Path
    """The same in PEM, for the TLS library."""
    link_key_path: Path
    """PKCS#8 in PEM, encrypted, for the TLS library."""
    link_password: bytes = field(repr=False)
    """Opens it; only this device can make it again."""
    binding: bytes
    """Signature of the badge over the link certificate, made once for every HELLO."""
    root_hash: bytes
    """SHA-256 of the signed part of the root document at enrolment."""


# --- home --------------------------------------------------------------------------------------


def make_home(home: Path, settings_text: str = PLAIN) -> bool:
    """Make the folder and the file of settings of a node; False if they are there already."""
    make_private_folder(home)
    settings = home / "meshnode.toml"
    if settings.exists():
        return False
    write_private(settings, settings_text.encode())
    return True


# --- invitation and request --------------------------------------------------------------------


def read_invitation(text: str, now_ms: int) -> Invitation:
    """Return the invitation in `text`, if it is still good.

    Raises: EnrolmentError (`expired`), MalformedError, LimitExceededError.
    """
    invitation = decode_invitation_untrusted(text)
    if now_ms > invitation.expires_s * 1000:
        raise EnrolmentError("expired", "this invitation has expired: ask for a new one")
    return invitation


def make_keys() -> DeviceKeys:
    """Return fresh keys for badge and link."""
    return DeviceKeys(ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate())


def first_prekey(
    keys: DeviceKeys, zone: int, incarnation: int, seq: int, now_ms: int, sealer: Sealer
) -> FirstPrekey:
    """Return a prekey and the bundle with it, under a number taken from the store."""
    secret, record = sealer.make_prekey(now_ms)
    header = Header(
        suite=Suite.CLEAR,
        kind=Kind.PREKEY,
        author=node_id_of(keys.public[0]),
        incarnation=incarnation,
        seq=seq,
        hlc=hlc.pack(now_ms, 0),
        lifetime_s=KINDS[Kind.PREKEY].lifetime_s,
        scope=Scope.for_zone(zone),
    )
    bundle = bundles.build(header, encode_prekey(record), keys.badge.sign)
    return FirstPrekey(secret, bundle.raw)


def make_request(
    home: Path, invitation: Invitation, keys: DeviceKeys, prekey: FirstPrekey, vault: Vault
) -> Pending:
    """Save and return the request to `invitation`; an older pending one is given up.

    Raises: EnrolmentError (`enrolled`), LockedError.
    """
    refuse_enrolled(home)
    request = build_request(invitation, keys.badge, keys.link, prekey.container)
    pending = Pending(invitation, keys, prekey, request)
    make_private_folder(home / "enrolment")
    sealed = vault.seal_file(Tier.AGENT, _PENDING, _encode_pending(pending))
    write_private(home / "enrolment" / "pending", sealed)
    return pending


def load_pending(home: Path, vault: Vault) -> Pending | None:
    """Return the request that waits for an answer, if there is one.

    Raises: EnrolmentError (`damaged`), LockedError.
    """
    path = home / "enrolment" / "pending"
    if is_enrolled(home):  # a power cut may have come between the last two steps of `finish`
        path.unlink(missing_ok=True)
        return None
    try:
        sealed = path.read_bytes()
    except FileNotFoundError:
        return None
    vault.derive(Tier.AGENT, _PENDING)  # A locked vault is no damage.
    try:
        return _decode_pending(vault.open_file(Tier.AGENT, _PENDING, sealed))
    except (MalformedError, KeystoreError) as error:
        raise EnrolmentError(
            "damaged", "the pending request is damaged: enrol with a new invitation"
        ) from error


def _encode_pending(pending: Pending) -> bytes:
    return encode(
        [
            1,
            pending.invitation.encode(),
            pending.keys.badge.private_bytes_raw(),
            pending.keys.link.private_bytes_raw(),
            encode_prekey_secret(pending.prekey.secret),
            pending.request.encode(),
        ]
    )


def _decode_pending(raw: bytes) -> Pending:
    record = as_array(decode_record_untrusted(raw, max_bytes=_PENDING_BYTES_MAX), "pending", 6)
    as_uint(record[0], "version of the pending request", 1, 1)
    invitation = as_bytes(record[1], "invitation", INVITATION_BYTES_MAX, 1)
    request = decode_request_untrusted(
        armour(TextForm.REQUEST, as_bytes(record[5], "request", REQUEST_BYTES_MAX, 1))
    )
    badge, link = (
        ed25519.Ed25519PrivateKey.from_private_bytes(as_bytes(record[index], "private key", 32))
        for index in (2, 3)
    )
    return Pending(
        invitation=decode_invitation_untrusted(armour(TextForm.INVITATION, invitation)),
        keys=DeviceKeys(badge, link),
        prekey=FirstPrekey(
            decode_prekey_secret(as_bytes(record[4], "prekey secret", 256, 1)), request.prekey
        ),
        request=request,
    )


# --- answer ------------------------------------------------------------------------------------


def accept_answer(home: Path, text: str, now_ms: int, sealer: Sealer, vault: Vault) -> Accepted:
    """Return what the answer in `text` gives; nothing is changed yet.

    The caller saves documents, prekeys and secrets in the store and then calls `finish`.
    Raises: EnrolmentError (`enrolled`, `no_request`, or as `check_answer`), LockedError, and the
    errors of its parts.
    """
    refuse_enrolled(home)
    pending = load_pending(home, vault)
    if pending is None:
        raise EnrolmentError("no_request", "no request waits here: enrol with an invitation first")
    answer = decode_answer_untrusted(text)
    enrolled = check_answer(
        answer, pending.invitation, pending.keys.public, pending.prekey.secret, now_ms, sealer
    )
    return Accepted(enrolled, pending)


def finish(home: Path, accepted: Accepted, vault: Vault) -> None:
    """Write keys and certificates, and the pinned root last: with it the device is enrolled.

    Raises: LockedError, OSError.
    """
    keys, identity, own = home / "keys", home / "identity", accepted.pending.keys
    make_private_folder(keys)
    make_private_folder(identity)
    badge = vault.seal_file(Tier.AGENT, _BADGE, own.badge.private_bytes_raw())
    write_private(keys / "badge.sealed", badge)
    write_private(keys / "link.pem", _private_pem(own.link, link_password(vault)))
    write_private(identity / "badge-chain.pem", chain_pem(accepted.enrolled.badge.chain))
    write_private(identity / "link-chain.pem", chain_pem(accepted.enrolled.link_chain))
    binding = own.badge.sign(binding_message(accepted.enrolled.link_chain[0]))
    write_private(identity / "binding", f"{binding.hex()}\n".encode())
    root_hash = accepted.pending.invitation.root_hash
    write_private(identity / "root", f"{root_hash.hex()}\n".encode())
    (home / "enrolment" / "pending").unlink(missing_ok=True)
    sync_folder(home / "enrolment")


def is_enrolled(home: Path) -> bool:
    """True once an answer was accepted and finished here."""
    return (home / "identity" / "root").exists()


def refuse_enrolled(home: Path) -> None:
    """Raises: EnrolmentError (`enrolled`) if this home has its identity."""
    if is_enrolled(home):
        raise EnrolmentError("enrolled", f"{home} is enrolled already: take another --home")


def open_keys(home: Path, runtime: Runtime) -> KeyStore:
    """Return the keys of an enrolled home.

    What a power cut left of a destruction is finished first. With the file of the agent's keys
    lost they open locked: the device carries, and obeys a wipe order.
    Raises: EnrolmentError (`not_enrolled`), WipedError, KeystoreError.
    """
    if KeyStore(home, runtime).is_destroyed(Tier.DEVICE):
        raise WipedError(f"the keys in {home} were destroyed: enrol in another --home")
    _require_enrolled(home)
    return KeyStore.open(home, runtime, may_lack_agent=True)


def _require_enrolled(home: Path) -> None:
    if not is_enrolled(home):
        raise EnrolmentError("not_enrolled", f"{home} is not enrolled: run 'meshnode enrol' first")


def load_identity(home: Path, vault: Vault) -> DeviceIdentity:
    """Return who this device is; a locked vault will do.

    Raises: EnrolmentError (`not_enrolled`, `damaged`).
    """
    _require_enrolled(home)
    identity = home / "identity"
    try:
        chain = _read_chain(identity / "badge-chain.pem")
        return DeviceIdentity(
            node=node_id_of(badge_key_untrusted(chain[0])),
            badge_chain=chain,
            link_chain=_read_chain(identity / "link-chain.pem"),
            link_chain_path=identity / "link-chain.pem",
            link_key_path=home / "keys" / "link.pem",
            link_password=link_password(vault),
            binding=bytes.fromhex((identity / "binding").read_text().strip()),
            root_hash=bytes.fromhex((identity / "root").read_text().strip()),
        )
    except (OSError, ValueError, IndexError, RemoteProtocolError) as error:
        raise EnrolmentError("damaged", f"the identity in {home} is damaged: {error}") from error


def badge_key(home: Path, vault: Vault) -> ed25519.Ed25519PrivateKey:
    """Return the key that speaks as the device.

    Raises: LockedError; EnrolmentError (`damaged`).
    """
    vault.derive(Tier.AGENT, _BADGE)  # A locked vault is no damage.
    try:
        sealed = (home / "keys" / "badge.sealed").read_bytes()
        raw = vault.open_file(Tier.AGENT, _BADGE, sealed)
        return ed25519.Ed25519PrivateKey.from_private_bytes(raw)
    except (OSError, ValueError, KeystoreError) as error:
        raise EnrolmentError("damaged", f"the identity in {home} is damaged: {error}") from error


@dataclass(frozen=True, slots=True)
class LinkSecret:
    """Where a link key lies, and what opens it."""

    path: Path
    """PKCS#8 in PEM, encrypted."""
    password: bytes = field(repr=False)
    """Opens it."""

    def open(self) -> ed25519.Ed25519PrivateKey:
        """Return the key. Raises: KeystoreError."""
        try:
            key = load_pem_private_key(self.path.read_bytes(), self.password or None)
        except (OSError, ValueError, TypeError) as error:
            raise KeystoreError("the link key is missing or damaged") from error
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise KeystoreError("the link key is of another kind")
        return key

    def rewrapped(self, password: bytes) -> bytes:
        """Return the key in PEM under another password. Raises: KeystoreError."""
        return _private_pem(self.open(), password)


def link_password(vault: Vault) -> bytes:
    """Return what opens the link key; a locked vault will do."""
    return vault.derive(Tier.DEVICE, b"link key").hex().encode()


def _private_pem(key: ed25519.Ed25519PrivateKey, password: bytes) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))


def chain_pem(chain: Sequence[bytes]) -> bytes:
    """Return certificates (DER) as the TLS library takes them from files."""
    return "".join(ssl.DER_cert_to_PEM_cert(der) for der in chain).encode()


def _read_chain(path: Path) -> tuple[bytes, ...]:
    end = "-----END CERTIFICATE-----\n"
    parts = path.read_text().split(end)[:-1]
    return tuple(ssl.PEM_cert_to_DER_cert(part + end) for part in parts)
