"""Which backgrounds a narrow form may have, by what this store holds. Source: wire-format 12.5."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, func, select

from meshnode.store import bundles as rows
from meshnode.store import keyring
from meshnode.store.schema import AuthorRow, BundleRow, ReceivingChainRow, table
from protocol import bundle as bundles
from protocol.bundle import Scope, Suite
from protocol.ids import NodeId
from protocol.limits import Kind
from protocol.narrow.form import Background, Form
from protocol.network_keys import KeyPurpose
from protocol.shifts import is_track_subject, split_subject

__all__ = ["backgrounds"]

_INCARNATIONS_MAX = 4
"""Stores that one author lately had; it gets a new one with a new device."""
_CHAINS_MAX = 64
"""Chains of one author that live at a time."""
_ALARMS_MAX = 200
"""Alarms that are looked through for keys of the zone that this device does not hold."""

_BUNDLE, _AUTHOR, _RECEIVING = table(BundleRow), table(AuthorRow), table(ReceivingChainRow)


def backgrounds(
    conn: Connection, form: Form, author: NodeId, scopes: tuple[Scope, ...]
) -> Iterator[Background]:
    """Yield what the header of a bundle of `author` for one of `scopes` may say.

    Cost: some queries by index; no body is opened.
    """
    incarnations = _incarnations(conn, author)
    if not incarnations:
        return
    if form is Form.POSITION:
        pairs = [(scope, key) for scope in scopes for key in _chains(conn, author, scope)]
    else:
        pairs = [(scope, key) for scope in scopes for key in _zone_keys(conn)]
    for incarnation in incarnations:
        for scope, keyref in pairs:
            yield Background(author, incarnation, scope, keyref)


def _incarnations(conn: Connection, author: NodeId) -> list[int]:
    query = (
        select(_BUNDLE.c.incarnation)
        .join_from(_BUNDLE, _AUTHOR, _AUTHOR.c.key == _BUNDLE.c.author)
        .where(_AUTHOR.c.node == author)
        .group_by(_BUNDLE.c.incarnation)
        .order_by(func.max(_BUNDLE.c.key).desc())
        .limit(_INCARNATIONS_MAX)
    )
    return [int(found) for (found,) in conn.execute(query)]


def _chains(conn: Connection, author: NodeId, scope: Scope) -> list[bytes]:
    """Return the chains that positions of `author` may be under: seen ones, and ours to read."""
    held = rows.by_slot(conn, Kind.POSITION, scope.encode(), 0)
    raws = rows.raw_many(conn, [each.short_id for each in held if each.author == author])
    seen = [bundles.decode_untrusted(raw).header.keyref for raw, _hops in raws.values()]
    query = (
        select(_RECEIVING.c.chain_id, _RECEIVING.c.scope)
        .where(_RECEIVING.c.author == author)
        .order_by(_RECEIVING.c.ends_ms.desc())
        .limit(_CHAINS_MAX)
    )
    for chain_id, subject in conn.execute(query):
        whom, shift_id = split_subject(subject)
        if whom == scope and shift_id and not is_track_subject(subject):
            seen.append(chain_id)
    return list(dict.fromkeys(seen))


def _zone_keys(conn: Connection) -> list[bytes]:
    """Return the names of the zone's keys: those held, and those that alarms here are under."""
    names = keyring.network_key_ids(conn, KeyPurpose.ZONE_SOS)
    found = (
        bundles.decode_untrusted(raw) for raw in rows.raws_of_kind(conn, Kind.SOS, _ALARMS_MAX)
    )
    names += [each.header.keyref for each in found if each.header.suite is Suite.ZONE]
    return list(dict.fromkeys(names))
