"""The room with the keys: opens a bundle's body, and changes nothing.

What an opening would change, the used key of a chain, comes back beside the content; the inbox
keeps both in one transaction. Relaying code cannot import this room. Source: wire-format
4.6-4.10, security 2.5 and 2.6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from meshnode.directory import Directory
from meshnode.store import keyring
from meshnode.store.engine import Connection
from meshnode.store.keyring import KeyPurpose
from protocol import payloads
from protocol.brief import open_position_untrusted, open_sos_untrusted
from protocol.bundle import Bundle, ScopeKind, Suite
from protocol.chains import ReceivingChain, key_for, receiving_chain
from protocol.envelope import (
    PrekeySecret,
    Sealer,
    decode_slot_secret_untrusted,
    decode_slots_untrusted,
    open_message,
    seal_info,
    slot_info,
    sos_message_key,
    unpad_untrusted,
)
from protocol.errors import EnvelopeError, MalformedError, NoKeyError, TamperedError
from protocol.ids import NodeId
from protocol.limits import CLOCK_DRIFT_MS_MAX, Kind
from protocol.payloads import Payload
from protocol.shifts import carried_under, chain_opens
from protocol.track_bodies import decode_track_body_untrusted

__all__ = ["DUE", "Opened", "Opener", "Waits", "due_keyref"]

DUE: Final = b"@"
"""Keys of the inbox's queue that begin so name a time: what waits there is tried again then."""


def due_keyref(due_ms: int) -> bytes:
    """Return what a bundle waits for that is tried again at a time, Unix milliseconds."""
    return DUE + due_ms.to_bytes(8, "big")


class Waits(EnvelopeError):
    """The key for this body may still come; `keyref` names it."""

    def __init__(self, keyref: bytes) -> None:
        super().__init__("the key for this message is not here yet")
        self.keyref = keyref


@dataclass(frozen=True, slots=True)
class Opened:
    """Content, and what must be kept in the same transaction."""

    payload: Payload = field(repr=False)
    """What people read."""
    chain: ReceivingChain | None = field(default=None, repr=False)
    """The chain without the key just used; None for other suites."""
    chain_scope: bytes = b""
    """Whom the chain is for, encoded."""
    chain_ends_ms: int = 0
    """When the chain is erased, Unix milliseconds."""


class Opener:
    """Opens bodies with the keys of one store."""

    def __init__(
        self, node: NodeId, zone: int, sealer: Sealer, directory: Callable[[], Directory]
    ) -> None:
        self.node = node
        self._zone = zone
        self._sealer = sealer
        self._directory = directory

    def open_message(self, conn: Connection, bundle: Bundle) -> Opened:
        """Return the content of a sealed bundle for this device.

        Raises: Waits; NoKeyError or TamperedError if it will never open here, AlreadyUsedError;
        MalformedError, LimitExceededError.
        """
        match bundle.header.suite:
            case Suite.CHAIN:
                return self._open_chained(conn, bundle)
            case Suite.HYBRID:
                return Opened(self._payload(bundle, unpad_untrusted(self._hybrid(conn, bundle))))
            case Suite.ZONE:
                return Opened(open_sos_untrusted(self._zoned(conn, bundle), bundle.header))
            case _:
                # Our prekey records allow no weaker suite, and none is tried (security 2.5).
                raise NoKeyError("this message is sealed in a way that this device never offered")

    @staticmethod
    def _payload(bundle: Bundle, plaintext: bytes) -> Payload:
        header = bundle.header
        return payloads.decode_untrusted(plaintext, header.author, header.scope.encode())

    def _open_chained(self, conn: Connection, bundle: Bundle) -> Opened:
        header = bundle.header
        held = keyring.receiving_chain(conn, header.keyref, header.author)
        if held is None:
            raise Waits(header.keyref)
        chain, scope = held
        if carried_under(scope)[0] != header.scope or not chain_opens(scope, header.kind):
            raise TamperedError("this chain was given for another group")
        after, key = key_for(chain, header.index)
        plaintext = open_message(key, bundle.header_bytes, _sealed(bundle))
        ends_ms = keyring.receiving_ends_ms(conn, header.keyref, header.author)
        if header.kind is Kind.POSITION:
            payload = open_position_untrusted(plaintext, header)
        else:
            payload = self._payload(bundle, unpad_untrusted(plaintext))
        return Opened(payload, after, scope, ends_ms)

    def _hybrid(self, conn: Connection, bundle: Bundle) -> bytes:
        secret = self._own_prekey(conn, bundle, bundle.header.keyref)
        info = seal_info(bundle.header_bytes)
        return self._sealer.open_hybrid(secret, info, bundle.body)

    @staticmethod
    def _own_prekey(conn: Connection, bundle: Bundle, prekey_id: bytes) -> PrekeySecret:
        """Return the private half that opens a bundle, if the bundle ends in time."""
        secret = keyring.own_prekey(conn, prekey_id)
        if secret is None:
            raise NoKeyError("this is sealed to a key that this device has erased")
        # The private half outlives the record by a day; who took the record then seals too late.
        # An author's stamps may run ahead of its clock, hence the allowance.
        if bundle.header.expires_ms > secret.ends_ms + CLOCK_DRIFT_MS_MAX:
            raise NoKeyError("this is sealed to a key that ends before it")
        return secret

    def _zoned(self, conn: Connection, bundle: Bundle) -> bytes:
        keys = keyring.network_keys(conn, KeyPurpose.ZONE_SOS)
        zone_key = keys.get(bundle.header.keyref)
        if zone_key is None or bundle.header.scope.zone != self._zone:
            raise NoKeyError("this SOS is sealed under a key that this device does not have")
        key = sos_message_key(zone_key, bundle.header.id)
        return open_message(key, bundle.header_bytes, bundle.body)

    # --- chain keys -------------------------------------------------------------------------

    def open_slot(self, conn: Connection, bundle: Bundle) -> tuple[ReceivingChain, bytes] | None:
        """Return the chain that a bundle of chain keys gives us, and whom it is for.

        None if there is no slot for us. Raises: EnvelopeError, MalformedError, LimitExceededError.
        """
        header = bundle.header
        slots = [s for s in decode_slots_untrusted(bundle.body) if s.member == self.node]
        if not slots:
            return None
        secret_key = self._own_prekey(conn, bundle, slots[0].prekey_id)
        info = slot_info(bundle.header_bytes, self.node)
        plaintext = self._sealer.open_hybrid(secret_key, info, slots[0].sealed)
        secret = decode_slot_secret_untrusted(plaintext)
        if secret.author != header.author:
            raise TamperedError("these chain keys were written for another author")
        scope, keyref = carried_under(secret.scope)
        if header.scope.kind is not ScopeKind.DEVICE and scope != header.scope:
            raise MalformedError("these chain keys are for another group than their bundle")
        if keyref != header.keyref:
            raise MalformedError("these chain keys are for another shift than their bundle")
        if self.node not in self._directory().chain_readers(secret.scope, header.author):
            raise TamperedError("these chain keys are for a group that this device is not in")
        return receiving_chain(secret.chain_id, secret.index, secret.seed), secret.scope


def _sealed(bundle: Bundle) -> bytes:
    """Return what of a body is under a chain: of a track the part behind its declaration."""
    if bundle.header.kind is not Kind.TRACK:
        return bundle.body
    return decode_track_body_untrusted(bundle.body).sealed
