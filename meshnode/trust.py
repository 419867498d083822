"""What the authority documents in force amount to: an immutable view, made anew by each change.

Root, directory, revocations, orders and beacons as one record of facts; it reads bodies that were
checked when they were taken, and decides nothing about new ones. Source: security 2.9.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from meshnode.directory import Directory, Guest
from meshnode.errors import StoreCorruptError
from protocol import authority, orders, witnessed
from protocol.authority import DocumentClass, RootBody, RosterBody, SignedDocument
from protocol.certificates import issuer_key_untrusted
from protocol.guards import WIPE_CARRY_MS
from protocol.identity import Badge
from protocol.ids import NodeId
from protocol.orders import Revocation, RevocationBody, WipeBody
from protocol.reports import Standing
from protocol.session import DocumentKey
from protocol.witnessed import PassBody

__all__ = ["Trust", "WipeOrder", "is_over", "issuer_of_pass", "key_of"]

_ROOT = (int(DocumentClass.ROOT), b"")
_UNIT_CLASSES = frozenset({DocumentClass.ROOT, DocumentClass.ROSTER})
"""Classes that say who belongs where for good."""


@dataclass(frozen=True, slots=True)
class WipeOrder:
    """A wipe order in force."""

    order_id: bytes
    """8 bytes."""
    body: WipeBody
    """How much, and who."""
    issued_ms: int
    """Unix milliseconds."""


def key_of(document: SignedDocument) -> DocumentKey:
    """Return the name of a document: class and scope."""
    return int(document.cls), document.scope


def is_over(document: SignedDocument, now_ms: int) -> bool:
    """True for a document that nobody carries any longer."""
    if document.cls is DocumentClass.PASS:
        return witnessed.decode_pass_untrusted(document.body).ends_ms <= now_ms
    is_order = document.cls in (DocumentClass.WIPE, DocumentClass.ERASURE)
    return is_order and document.issued_ms + WIPE_CARRY_MS <= now_ms


@dataclass(frozen=True, slots=True)
class Trust:
    """Everything that the documents held here say. Made by `of`, then from change to change."""

    held: Mapping[DocumentKey, SignedDocument]
    """The documents in force."""
    root: RootBody
    """The root in force."""
    rosters: Mapping[DocumentKey, RosterBody]
    """The rosters in force, read."""
    guests: Mapping[DocumentKey, Guest]
    """Members by pass."""
    lists: Mapping[DocumentKey, RevocationBody]
    """What each signer that the root still names has revoked."""
    units: Directory
    """Who is who by the rosters alone."""
    directory: Directory
    """Who is who; knows guests and revocations too."""
    void: frozenset[DocumentKey] = frozenset()
    """Documents held that nobody stands behind whom the root names: they are not shown to peers."""

    # --- making it -------------------------------------------------------------------------

    @classmethod
    def of(cls, documents: Iterable[SignedDocument]) -> Trust:
        """Return the view of these documents. Raises: StoreCorruptError without a root.

        Cost: about 10 µs per member of a roster.
        """
        held = {key_of(document): document for document in documents}
        found = held.get(_ROOT)
        if found is None:
            raise StoreCorruptError("the store holds no root document: enrol this device again")
        root = authority.decode_root_untrusted(found.body)
        nobody = Directory(root.network_name, {}, {})
        empty = cls(held, root, {}, {}, {}, nobody, nobody)
        return empty._read(held.values())

    def with_documents(self, taken: Iterable[SignedDocument]) -> Trust:
        """Return the view once `taken` are in force; older versions among them change nothing.

        Cost: that of reading what is new, and 5 µs per known device if root or rosters changed.
        """
        every = list(taken)
        after = self
        # The root first: under it a document may take the place of one that held before.
        for root in (each for each in every if each.cls is DocumentClass.ROOT):
            if after._is_newer(root):
                held = {**after.held, key_of(root): root}
                body = authority.decode_root_untrusted(root.body)
                after = replace(after, held=held, root=body)._read(held.values())
        others = (each for each in every if each.cls is not DocumentClass.ROOT)
        fresh = [each for each in others if after._is_newer(each)]
        held = {**after.held, **{key_of(document): document for document in fresh}}
        return replace(after, held=held)._read(fresh)

    def without(self, keys: Collection[DocumentKey]) -> Trust:
        """Return the view once these are forgotten. Raises: StoreCorruptError without a root."""
        return Trust.of(document for key, document in self.held.items() if key not in keys)

    def _is_newer(self, document: SignedDocument) -> bool:
        known = self.held.get(key_of(document))
        if known is None or key_of(document) in self.void:
            return True
        return (document.epoch, document.version) > (known.epoch, known.version)

    def _read(self, fresh: Collection[SignedDocument]) -> Trust:
        """Return the view with these documents of `held` read."""
        rosters, guests, lists = dict(self.rosters), dict(self.guests), dict(self.lists)
        classes = set()
        for document in fresh:
            key = key_of(document)
            classes.add(document.cls)
            if document.cls is DocumentClass.ROSTER:
                rosters[key] = authority.decode_roster_untrusted(document.body)
            elif document.cls is DocumentClass.REVOCATION:
                lists[key] = orders.decode_revocation_untrusted(document.body)
            elif document.cls is DocumentClass.PASS:
                guests[key] = _guest(document)
        judged = {key_of(document): document for document in fresh}
        void = self.void - judged.keys()
        void |= {key for key, each in judged.items() if not authority.is_backed(each, self.root)}
        # A signer that the root names no longer has revoked nothing.
        lists = {key: body for key, body in lists.items() if key not in void}
        revoked = orders.united(lists.values())
        units = self.units
        if classes & _UNIT_CLASSES:
            # Nor does one say who belongs to a zone that it does not sign for.
            rosters = {key: body for key, body in rosters.items() if key not in void}
            units = Directory.from_documents(self.root, rosters.values())
        welcome = [
            guest
            for guest in guests.values()
            if not {guest.member.node, guest.issuer} & revoked.keys()
        ]
        directory = units.with_guests(welcome).with_revoked(revoked)
        return Trust(self.held, self.root, rosters, guests, lists, units, directory, void)

    # --- asking it -------------------------------------------------------------------------

    @property
    def revoked(self) -> Mapping[bytes, Revocation]:
        """Every revocation in force, by node id or issuer id."""
        return self.directory.revoked

    def standing(self, badge: Badge) -> Standing:
        """Return how a peer stands whose badge is right; its dates are judged elsewhere."""
        if not self.revoked:
            return Standing.FULL
        issuers = {orders.issuer_id(issuer_key_untrusted(each)) for each in badge.chain[1:]}
        is_revoked = bool(self.revoked.keys() & ({badge.node} | issuers))
        return Standing.REVOKED if is_revoked else Standing.FULL

    def versions(self, now_ms: int) -> dict[DocumentKey, tuple[int, int]]:
        """Return (epoch, version) of every document that is still carried."""
        return {
            key: (document.epoch, document.version)
            for key, document in self.held.items()
            if key not in self.void and not is_over(document, now_ms)
        }

    def over(self, now_ms: int) -> set[DocumentKey]:
        """Return the documents that nobody carries any longer."""
        return {key for key, document in self.held.items() if is_over(document, now_ms)}

    @property
    def has_beacons(self) -> bool:
        """True if the root names somebody who signs beacons: then there are leases."""
        return self.root.rule(DocumentClass.BEACON) is not None

    def beacon_ms(self, zone: int) -> int:
        """Return the time of the newest beacon of a zone, Unix milliseconds; 0 if none came."""
        found = self.held.get((int(DocumentClass.BEACON), orders.beacon_scope(zone)))
        return 0 if found is None else found.issued_ms

    def wipe_orders(self) -> tuple[WipeOrder, ...]:
        """Return every wipe order in force, in the order in which they were issued."""
        found = [
            WipeOrder(scope, orders.decode_wipe_untrusted(document.body), document.issued_ms)
            for (cls, scope), document in self.held.items()
            if cls == DocumentClass.WIPE
        ]
        return tuple(sorted(found, key=lambda order: (order.issued_ms, order.order_id)))

    def erasures(self) -> frozenset[tuple[bytes, NodeId]]:
        """Return (order id, device) of every proof of erasure that is held."""
        return frozenset(self.erasure_times())

    def erasure_times(self) -> dict[tuple[bytes, NodeId], int]:
        """Return what time each proof of erasure states, by order id and device."""
        split = orders.ORDER_ID_BYTES
        return {
            (scope[:split], scope[split:]): document.issued_ms
            for (cls, scope), document in self.held.items()
            if cls == DocumentClass.ERASURE
        }


def _guest(document: SignedDocument) -> Guest:
    """Return the member that a pass makes, which was verified when it was taken."""
    body = witnessed.decode_pass_untrusted(document.body)
    member, zone, squads = witnessed.member_of_pass_untrusted(body)
    return Guest(member, zone, squads, body.ends_ms, _issuer(body))


def issuer_of_pass(document: SignedDocument) -> bytes:
    """Return the id under which the unit authority of a verified pass is revoked."""
    return _issuer(witnessed.decode_pass_untrusted(document.body))


def _issuer(body: PassBody) -> bytes:
    return orders.issuer_id(issuer_key_untrusted(body.badge_chain[1]))
