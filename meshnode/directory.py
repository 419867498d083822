"""Who is who: devices, squads and operations centres, as the documents in force say.

An immutable view; a change of documents makes a new one. It knows names, keys and who may read
what, and nothing of links, stores or content. Source: wire-format 7.3-7.5.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from protocol.authority import Member, RootBody, RosterBody, Unit, roster_scope
from protocol.bundle import PublicKey, Scope, ScopeKind, load_public_key
from protocol.errors import MalformedError, MeshError
from protocol.identity import DeviceClass, Role
from protocol.ids import NodeId, SquadId, parse_node_id_untrusted, print_node_id
from protocol.orders import Revocation
from protocol.shifts import is_track_subject, split_subject

__all__ = ["Directory", "DirectoryEntry", "Guest", "UnknownNameError"]


# Bound once: asking an enumeration for a member costs 0.15 µs, and these are asked per bundle.
_DEVICE: Final = ScopeKind.DEVICE
_ZONE: Final = ScopeKind.ZONE
_TO_SQUAD: Final = ScopeKind.SQUAD
_SQUAD: Final = Unit.SQUAD
_CENTRE: Final = Unit.CENTRE

_TAKE_ASTRAY: Final = frozenset({Role.RELAY, Role.GATEWAY, Role.OPERATOR})
"""Who carries, or reads, what a revoked device wrote after its last good bundle."""


class UnknownNameError(MeshError):
    """No device or squad, or more than one, is called so."""


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """One enrolled device."""

    node: NodeId
    """16 bytes."""
    public_key: bytes
    """32 raw bytes, Ed25519."""
    name: str
    """As people call it."""
    role: Role
    """The highest that any of its units gives it."""
    zone: int
    """1-65535."""
    device_class: DeviceClass
    """Kind of machine."""
    squads: tuple[SquadId, ...]
    """Squads it belongs to, ascending."""
    _key: list[PublicKey] = field(default_factory=list, repr=False, compare=False)

    @property
    def key(self) -> PublicKey:
        """The key object; made at first use, because a zone has thousands of devices."""
        if not self._key:
            self._key.append(load_public_key(self.public_key))
        return self._key[0]


@dataclass(frozen=True, slots=True)
class Guest:
    """A device that a leader enrolled in the field, until a roster names it."""

    member: Member
    """Key, role, kind and name, as a roster would show them."""
    zone: int
    """1-65535."""
    squads: tuple[SquadId, ...]
    """Squads that it is a guest of, ascending."""
    ends_ms: int
    """When its pass is over, Unix milliseconds."""
    issuer: bytes
    """Id of the unit authority that gave it, as revocations name it; 16 bytes."""

    @property
    def entry(self) -> DirectoryEntry:
        """The guest as a device of the directory."""
        member = self.member
        return DirectoryEntry(
            member.node,
            member.public_key,
            member.name,
            member.role,
            self.zone,
            member.device_class,
            self.squads,
        )


class Directory:
    """Devices and units of all zones whose rosters are held here."""

    def __init__(
        self,
        network_name: str,
        entries: Mapping[NodeId, DirectoryEntry],
        rosters: Mapping[bytes, RosterBody],
    ) -> None:
        self.network_name = network_name
        self._entries = entries
        self._rosters = rosters
        self._by_name: dict[str, list[DirectoryEntry]] = {}
        for entry in entries.values():
            self._by_name.setdefault(entry.name.casefold(), []).append(entry)
        self._readers = {scope: roster.readers for scope, roster in rosters.items()}
        self.revoked: Mapping[bytes, Revocation] = {}
        """What is trusted no longer, by node id or issuer id."""

    @classmethod
    def from_documents(cls, root: RootBody, rosters: Iterable[RosterBody]) -> Directory:
        """Return the view that these documents make. Cost: about 5 µs per member."""
        by_scope = {roster.scope: roster for roster in sorted(rosters, key=lambda r: r.scope)}
        entries: dict[NodeId, DirectoryEntry] = {}
        for roster in by_scope.values():
            for member in roster.members:
                entries[member.node] = _merged(entries.get(member.node), member, roster)
        return cls(root.network_name, entries, by_scope)

    def with_guests(self, guests: Iterable[Guest]) -> Directory:
        """Return this view, made of rosters alone, with guests beside their members.

        A guest that some roster names is what the roster says. Cost: 0.1 µs per member, once there
        is a guest at all.
        """
        fresh = [guest for guest in guests if guest.member.node not in self._entries]
        if not fresh:
            return self
        found, entries = copy.copy(self), dict(self._entries)
        found._by_name, found._readers = dict(self._by_name), dict(self._readers)
        for guest in fresh:
            entry, name = guest.entry, guest.member.name.casefold()
            entries[entry.node] = entry
            found._by_name[name] = [*found._by_name.get(name, ()), entry]
            found._seat(guest)
        found._entries = entries
        return found

    def _seat(self, guest: Guest) -> None:
        if guest.member.role is Role.RELAY:
            return
        for squad in guest.squads:
            scope = roster_scope(Unit.SQUAD, guest.zone, squad)
            self._readers[scope] = self._readers.get(scope, frozenset()) | {guest.member.node}

    def with_revoked(self, revoked: Mapping[bytes, Revocation]) -> Directory:
        """Return this view without the right to read of `revoked`. Cost: 1 µs per unit.

        They keep their names and keys: what they wrote before is theirs.
        """
        found = copy.copy(self)
        found.revoked = revoked
        found._readers = {scope: nodes - revoked.keys() for scope, nodes in self._readers.items()}
        return found

    def is_astray(self, author: NodeId, incarnation: int, seq: int) -> bool:
        """True for a bundle that its author wrote after the last one that can be trusted."""
        entry = self.revoked.get(author)
        return entry is not None and not entry.is_good(incarnation, seq)

    def refuses_astray(
        self, reader: NodeId | None, author: NodeId, incarnation: int, seq: int
    ) -> bool:
        """True for a bundle of that kind which `reader` neither stores nor shows.

        Relays, gateways and operators take it: it is for the centre, which sees it marked.
        """
        if not self.is_astray(author, incarnation, seq):
            return False
        own = None if reader is None else self.member(reader)
        return own is None or own.role not in _TAKE_ASTRAY

    # --- devices ---------------------------------------------------------------------------

    def member(self, node: NodeId) -> DirectoryEntry | None:
        """Return the device with this id, if it is enrolled; a revoked one as well."""
        return self._entries.get(node)

    def trusted(self, node: NodeId) -> DirectoryEntry | None:
        """Return the device with this id, if it is enrolled and not revoked."""
        return None if node in self.revoked else self._entries.get(node)

    def members(self) -> tuple[DirectoryEntry, ...]:
        """Return every device that is not revoked, by zone and name."""
        found = (entry for node, entry in self._entries.items() if node not in self.revoked)
        return tuple(sorted(found, key=lambda entry: (entry.zone, entry.name)))

    def everybody(self) -> tuple[DirectoryEntry, ...]:
        """Return every device, the revoked as well, by zone and name."""
        return tuple(sorted(self._entries.values(), key=lambda entry: (entry.zone, entry.name)))

    def name_of(self, node: NodeId) -> str:
        """Return what people call this device, or its id where it is not known."""
        entry = self._entries.get(node)
        return entry.name if entry is not None else print_node_id(node)

    # --- units -----------------------------------------------------------------------------

    def rosters(self) -> tuple[RosterBody, ...]:
        """Return all units, by kind, zone and id."""
        return tuple(self._rosters.values())

    def squad(self, text: str, zone: int) -> RosterBody:
        """Return the squad of `zone` with this name, or this id in 16 hexadecimal digits.

        Raises: UnknownNameError.
        """
        wanted = text.strip().casefold()
        squads = [r for r in self._rosters.values() if r.unit is Unit.SQUAD and r.zone == zone]
        found = [r for r in squads if wanted in (r.name.casefold(), r.unit_id.hex())]
        if len(found) != 1:
            known = ", ".join(sorted(roster.name for roster in squads)) or "none"
            raise UnknownNameError(f"no squad '{text}' in zone {zone}; squads known here: {known}")
        return found[0]

    def recipients(self, scope: Scope, author: NodeId) -> frozenset[NodeId]:
        """Return the devices that may read what `author` sends to `scope`, without the author.

        Relays and revoked devices never read. Empty where the unit or device is not known here.
        """
        if scope.kind is ScopeKind.DEVICE:
            entry = self._entries.get(scope.target)
            known = entry is not None and entry.zone == scope.zone
            return frozenset({scope.target} if known else ()) - {author} - self.revoked.keys()
        if scope.kind is ScopeKind.ZONE:
            found = frozenset(
                entry.node
                for entry in self._entries.values()
                if entry.zone == scope.zone and entry.role is not Role.RELAY
            )
            return found - {author} - self.revoked.keys()
        return self._readers.get(_roster_scope(scope), frozenset()) - {author}

    def position_readers(self, scope: Scope, author: NodeId) -> frozenset[NodeId]:
        """Return who may read positions for a squad: its readers and the zone's centre."""
        centre = Scope.for_codt(scope.zone)
        return self.recipients(scope, author) | self.recipients(centre, author)

    def chain_readers(self, subject: bytes, author: NodeId) -> frozenset[NodeId]:
        """Return who may have the keys of a chain. Raises: MalformedError. Source: 4.7."""
        scope, shift_id = split_subject(subject)
        if is_track_subject(subject):
            return self.recipients(Scope.for_codt(scope.zone), author)
        return (self.position_readers if shift_id else self.recipients)(scope, author)

    def is_recipient(self, node: NodeId, scope: Scope, author: NodeId) -> bool:
        """Return whether `node` is among `recipients(scope, author)`, without listing them."""
        if node == author:
            return False
        if scope.kind is _DEVICE or scope.kind is _ZONE:
            return node in self.recipients(scope, author)
        return node in self._readers.get(_roster_scope(scope), ())

    # --- words of people -------------------------------------------------------------------

    def find(self, text: str, zone: int | None = None) -> Scope:
        """Return whom `text` means: `codt`, `zone`, `squad:NAME`, or a device's name or id.

        `zone` is the speaker's own; it may be left out where only one zone is known.
        Raises: UnknownNameError with what is known, or with the ids of namesakes.
        """
        wanted = text.strip()
        if wanted.casefold() == "codt":
            return Scope.for_codt(self._zone(zone))
        if wanted.casefold() == "zone":
            return Scope.for_zone(self._zone(zone))
        if wanted.casefold().startswith("squad:"):
            own = self._zone(zone)
            return Scope.for_squad(own, self.squad(wanted[len("squad:") :], own).unit_id)
        entry = self._device(wanted)
        return Scope.for_device(entry.zone, entry.node)

    def describe(self, scope: Scope) -> str:
        """Return `scope` in the words that `find` takes."""
        if scope.kind is ScopeKind.DEVICE:
            return self.name_of(scope.target)
        if scope.kind is ScopeKind.SQUAD:
            roster = self._rosters.get(_roster_scope(scope))
            return f"squad:{roster.name if roster is not None else scope.target.hex()}"
        return "codt" if scope.kind is ScopeKind.CODT else "zone"

    def _device(self, text: str) -> DirectoryEntry:
        known = self._by_name.get(text.casefold(), [])
        # A new device may have the name of one that was lost.
        named = [entry for entry in known if entry.node not in self.revoked] or known
        if len(named) == 1:
            return named[0]
        if named:
            ids = ", ".join(print_node_id(entry.node) for entry in named)
            raise UnknownNameError(f"several devices are called '{text}': use one of the ids {ids}")
        try:
            entry = self._entries.get(parse_node_id_untrusted(text))
        except MalformedError:
            entry = None
        if entry is not None:
            return entry
        if any(text.casefold() == roster.name.casefold() for roster in self._rosters.values()):
            raise UnknownNameError(
                f"no device is called '{text}': for the squad write squad:{text}"
            )
        raise UnknownNameError(
            f"no device is called '{text}': write codt, squad:NAME, or a device's name or id"
        )

    def _zone(self, zone: int | None) -> int:
        if zone is not None:
            return zone
        zones = {roster.zone for roster in self._rosters.values()}
        if len(zones) != 1:
            raise UnknownNameError("several zones are known here, or none: say which one is meant")
        return zones.pop()


def _merged(known: DirectoryEntry | None, member: Member, roster: RosterBody) -> DirectoryEntry:
    """Add one roster's word about a device to what earlier rosters said of it."""
    squads = {roster.unit_id} if roster.unit is Unit.SQUAD else set()
    role = member.role
    if known is not None:
        squads |= set(known.squads)
        role = max(role, known.role, key=lambda each: each.rank)
    return DirectoryEntry(
        node=member.node,
        public_key=member.public_key,
        name=member.name if known is None else known.name,
        role=role,
        zone=roster.zone if known is None else known.zone,
        device_class=member.device_class if known is None else known.device_class,
        squads=tuple(sorted(squads)),
    )


def _roster_scope(scope: Scope) -> bytes:
    unit = _SQUAD if scope.kind is _TO_SQUAD else _CENTRE
    return roster_scope(unit, scope.zone, scope.target)
