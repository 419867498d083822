"""Keys at rest: network keys, prekeys of both sides, chains sent on and chains read.

The store never looks at what a key protects. Rows go with `secure_delete`, so that what was
erased is overwritten in the file. Relaying code cannot import this room.
Source: security 2.5-2.7, wire-format 4.6-4.11.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    delete,
    exists,
    insert,
    or_,
    select,
    update,
)

from meshnode.store.engine import Transaction
from meshnode.store.schema import (
    GivenRow,
    NetworkKeyRow,
    OwnPrekeyRow,
    PeerPrekeyRow,
    ReceivingChainRow,
    SendingChainRow,
    table,
)
from meshnode.store.sealing import (
    Seals,
    Seat,
    network_key_seat,
    prekey_seat,
    receiving_seat,
    sending_seat,
)
from protocol.chains import (
    ReceivingChain,
    SendingChain,
    decode_receiving,
    decode_sending,
    encode_receiving,
    encode_sending,
    seed_at,
)
from protocol.envelope import PrekeyRecord, PrekeySecret
from protocol.ids import NodeId
from protocol.limits import CHAIN_MESSAGES_MAX, PREKEY_ERASE_MS, SENDING_CHAIN_KEEP_MS
from protocol.network_keys import KeyPurpose

__all__ = [
    "KeyPurpose",
    "SendingChainRecord",
    "advance_chain",
    "close_chain",
    "erase_ended",
    "given_ms",
    "network_key_givers",
    "network_key_ids",
    "network_keys",
    "newest_own_prekey",
    "note_given",
    "open_chain",
    "open_chains",
    "owe",
    "owed",
    "owed_to",
    "own_prekey",
    "peer_prekeys",
    "put_network_key",
    "put_own_prekey",
    "put_peer_prekey",
    "put_receiving_chain",
    "readers",
    "receiving_chain",
    "receiving_ends_ms",
    "secret_at",
    "sending_chain",
    "start_chain",
]

_NETWORK_KEY = table(NetworkKeyRow)
_OWN_PREKEY = table(OwnPrekeyRow)
_PEER_PREKEY = table(PeerPrekeyRow)
_SENDING = table(SendingChainRow)
_GIVEN = table(GivenRow)
_RECEIVING = table(ReceivingChainRow)

# Built once: each node runs these every few minutes, and building one costs more than running it.
_EVER_MS: Final = (1 << 63) - 1
_NEWEST_OWN: Final = (
    select(_OWN_PREKEY)
    .where(_OWN_PREKEY.c.issued_ms <= bindparam("at_ms"))
    .order_by(_OWN_PREKEY.c.issued_ms.desc(), _OWN_PREKEY.c.prekey_id.desc())
    .limit(1)
)
_ENDED: Final = {
    _OWN_PREKEY: _OWN_PREKEY.c.erase_ms <= bindparam("now_ms"),
    _PEER_PREKEY: _PEER_PREKEY.c.ends_ms <= bindparam("now_ms"),
    _SENDING: _SENDING.c.ends_ms <= bindparam("kept_ms"),
    _RECEIVING: _RECEIVING.c.ends_ms <= bindparam("now_ms"),
}
_IS_ANY_ENDED: Final = select(
    or_(*(exists().select_from(keys).where(ended) for keys, ended in _ENDED.items()))
)
_NETWORK_KEY_IDS: Final = select(_NETWORK_KEY.c.key_id).where(
    _NETWORK_KEY.c.purpose == bindparam("purpose")
)
_ENDED_CHAINS: Final = select(_SENDING.c.chain_id).where(_ENDED[_SENDING])
_ERASE: Final = (
    # Before the chains, by whose end it is known which rows go.
    delete(_GIVEN).where(_GIVEN.c.chain_id.in_(_ENDED_CHAINS)),
    *(delete(keys).where(ended) for keys, ended in _ENDED.items()),
)


@dataclass(frozen=True, slots=True)
class SendingChainRecord:
    """A chain this node sends on, with what the store knows about it."""

    chain: SendingChain
    """Ready for its next message."""
    scope: bytes
    """Encoded scope the chain is for (wire-format 3.4)."""
    started_ms: int
    """Unix milliseconds."""
    ends_ms: int
    """No new message goes on it from here on, Unix milliseconds."""
    is_closed: bool
    """Ended early: somebody left who could read it."""


# --- keys that many share --------------------------------------------------------------------


def put_network_key(
    tx: Transaction,
    purpose: KeyPurpose,
    key_id: bytes,
    key: bytes,
    now_ms: int,
    giver: NodeId = b"",
) -> None:
    """Keep a shared key; one that is held already stays as it is.

    `giver` is the operator that it came from, empty where it came by enrolment.
    """
    is_held = select(_NETWORK_KEY.c.since_ms).where(
        _NETWORK_KEY.c.purpose == int(purpose), _NETWORK_KEY.c.key_id == key_id
    )
    if tx.connection.execute(is_held).first() is None:
        seat = network_key_seat(int(purpose), key_id, now_ms)
        sealed = Seals(tx.connection).seal(seat, key)
        tx.connection.execute(
            insert(_NETWORK_KEY).values(
                purpose=int(purpose), key_id=key_id, key=sealed, since_ms=now_ms, giver=giver
            )
        )


def network_key_ids(conn: Connection, purpose: KeyPurpose) -> list[bytes]:
    """Return the names of the keys of one purpose, ascending; a locked device knows them, too."""
    return sorted(conn.execute(_NETWORK_KEY_IDS, {"purpose": int(purpose)}).scalars())


def network_key_givers(conn: Connection, purpose: KeyPurpose) -> dict[bytes, NodeId]:
    """Return {key id: giver} of one purpose; empty for what came by enrolment."""
    query = select(_NETWORK_KEY.c.key_id, _NETWORK_KEY.c.giver).where(
        _NETWORK_KEY.c.purpose == int(purpose)
    )
    return {row.key_id: row.giver for row in conn.execute(query)}


def network_keys(conn: Connection, purpose: KeyPurpose) -> dict[bytes, bytes]:
    """Return {key id: key} of one purpose, the newest first; damaged ones are left out.

    Raises: LockedError for the SOS keys of a locked device.
    """
    query = (
        select(_NETWORK_KEY)
        .where(_NETWORK_KEY.c.purpose == int(purpose))
        .order_by(_NETWORK_KEY.c.since_ms.desc(), _NETWORK_KEY.c.key_id)
    )
    found = Seals(conn).whole(conn.execute(query), _network_seat, "key")
    return {row.key_id: key for row, key in found}


def _network_seat(row: Row[Any]) -> Seat:
    return network_key_seat(row.purpose, row.key_id, row.since_ms)


# --- prekeys ---------------------------------------------------------------------------------


def put_own_prekey(tx: Transaction, secret: PrekeySecret, record: PrekeyRecord) -> None:
    """Keep a new prekey of this node; its private part goes `PREKEY_ERASE_MS` after issue.

    One that is held already stays as it is: an enrolment that was cut off is done once more.
    """
    assert secret.prekey_id == record.prekey_id, "both halves are of one prekey"
    is_held = select(_OWN_PREKEY.c.issued_ms).where(_OWN_PREKEY.c.prekey_id == record.prekey_id)
    if tx.connection.execute(is_held).first() is not None:
        return
    erase_ms = record.issued_ms + PREKEY_ERASE_MS
    seat = prekey_seat(record.prekey_id, erase_ms)
    tx.connection.execute(
        insert(_OWN_PREKEY).values(
            prekey_id=record.prekey_id,
            issued_ms=record.issued_ms,
            ends_ms=record.ends_ms,
            erase_ms=erase_ms,
            suites=record.suites,
            public=record.public,
            secret=Seals(tx.connection).seal(seat, secret.private),
        )
    )


def own_prekey(conn: Connection, prekey_id: bytes) -> PrekeySecret | None:
    """Return the private half of a prekey; None if it is not ours, was erased or is damaged."""
    query = select(_OWN_PREKEY).where(_OWN_PREKEY.c.prekey_id == prekey_id)
    row = conn.execute(query).first()
    if row is None:
        return None
    private = Seals(conn).open_or_none(prekey_seat(prekey_id, row.erase_ms), row.secret)
    return None if private is None else PrekeySecret(prekey_id, row.ends_ms, private)


def newest_own_prekey(conn: Connection, at_ms: int | None = None) -> PrekeyRecord | None:
    """Return the prekey of this node that was issued last, at `at_ms` or before if that is given.

    One with a later date was issued before the clock of this device was set back.
    """
    row = conn.execute(_NEWEST_OWN, {"at_ms": _EVER_MS if at_ms is None else at_ms}).first()
    return None if row is None else _prekey(row)


def put_peer_prekey(tx: Transaction, node: NodeId, record: PrekeyRecord) -> bool:
    """Keep the prekey of `node` if it is newer than the one held; True if it was.

    The later issue is the newer one; among two of one moment the greater id, so that every
    device ends with the same.
    """
    query = select(_PEER_PREKEY.c.issued_ms, _PEER_PREKEY.c.prekey_id).where(
        _PEER_PREKEY.c.node == node
    )
    held = tx.connection.execute(query).first()
    if held is not None and tuple(held) >= (record.issued_ms, record.prekey_id):
        return False
    tx.connection.execute(delete(_PEER_PREKEY).where(_PEER_PREKEY.c.node == node))
    tx.connection.execute(
        insert(_PEER_PREKEY).values(
            node=node,
            prekey_id=record.prekey_id,
            issued_ms=record.issued_ms,
            ends_ms=record.ends_ms,
            suites=record.suites,
            public=record.public,
        )
    )
    return True


def peer_prekeys(
    conn: Connection, nodes: Collection[NodeId], now_ms: int
) -> dict[NodeId, PrekeyRecord]:
    """Return the prekeys of those of `nodes` that have one which has not ended."""
    query = select(_PEER_PREKEY).where(
        _PEER_PREKEY.c.node.in_(nodes), _PEER_PREKEY.c.ends_ms > now_ms
    )
    return {row.node: _prekey(row) for row in conn.execute(query)}


def _prekey(row: Row[Any]) -> PrekeyRecord:
    return PrekeyRecord(row.prekey_id, row.issued_ms, row.ends_ms, row.suites, row.public)


# --- chains this node sends on ---------------------------------------------------------------


def start_chain(
    tx: Transaction, chain: SendingChain, scope: bytes, now_ms: int, ends_ms: int
) -> None:
    """Keep a new chain; its first state stays, so that keys can be given from any index."""
    state, seals = encode_sending(chain), Seals(tx.connection)
    tx.connection.execute(
        insert(_SENDING).values(
            chain_id=chain.chain_id,
            scope=scope,
            started_ms=now_ms,
            ends_ms=ends_ms,
            is_closed=0,
            first=seals.seal(sending_seat("first", chain.chain_id, ends_ms), state),
            state=seals.seal(sending_seat("state", chain.chain_id, ends_ms), state),
        )
    )


def open_chain(conn: Connection, scope: bytes, now_ms: int) -> SendingChainRecord | None:
    """Return the newest chain for `scope` that is whole and neither closed, ended nor used up."""
    return next(iter(_chains(conn, now_ms, _SENDING.c.scope == scope)), None)


def open_chains(conn: Connection, now_ms: int) -> list[SendingChainRecord]:
    """Return every whole chain that a message may still go on, the newest first."""
    return _chains(conn, now_ms)


def sending_chain(conn: Connection, chain_id: bytes) -> SendingChainRecord | None:
    """Return one chain of this node, closed or not; None if it is not ours or is damaged."""
    row = conn.execute(select(_SENDING).where(_SENDING.c.chain_id == chain_id)).first()
    return None if row is None else _sending(row, Seals(conn))


def advance_chain(tx: Transaction, chain: SendingChain) -> None:
    """Keep the state after a message; its key must not be used again."""
    here = _SENDING.c.chain_id == chain.chain_id
    ends_ms = tx.connection.execute(select(_SENDING.c.ends_ms).where(here)).scalar_one()
    seat = sending_seat("state", chain.chain_id, ends_ms)
    state = Seals(tx.connection).seal(seat, encode_sending(chain))
    tx.connection.execute(update(_SENDING).where(here).values(state=state))


def close_chain(tx: Transaction, chain_id: bytes) -> None:
    """No further message goes on this chain; what was sent can still be given out."""
    tx.connection.execute(
        update(_SENDING).where(_SENDING.c.chain_id == chain_id).values(is_closed=1)
    )


def secret_at(conn: Connection, chain_id: bytes, index: int) -> bytes | None:
    """Return the 32-byte seed of a chain at `index`; None if the chain is not ours or is damaged.

    Cost: about 5 µs per index.
    """
    query = select(_SENDING.c.first, _SENDING.c.ends_ms).where(_SENDING.c.chain_id == chain_id)
    row = conn.execute(query).first()
    if row is None:
        return None
    first = Seals(conn).open_or_none(sending_seat("first", chain_id, row.ends_ms), row.first)
    return None if first is None else seed_at(decode_sending(first), index)


def _chains(
    conn: Connection, now_ms: int, *conditions: ColumnElement[bool]
) -> list[SendingChainRecord]:
    query = (
        select(_SENDING)
        .where(_SENDING.c.is_closed == 0, _SENDING.c.ends_ms > now_ms, *conditions)
        .order_by(_SENDING.c.started_ms.desc(), _SENDING.c.chain_id)
    )
    seals = Seals(conn)
    found = [_sending(row, seals) for row in conn.execute(query)]
    return [
        record for record in found if record is not None and record.chain.index < CHAIN_MESSAGES_MAX
    ]


def _sending(row: Row[Any], seals: Seals) -> SendingChainRecord | None:
    """Return a chain both of whose states are whole: without the first it can be given to nobody.

    Raises: LockedError.
    """
    state = seals.open_or_none(sending_seat("state", row.chain_id, row.ends_ms), row.state)
    first = seals.open_or_none(sending_seat("first", row.chain_id, row.ends_ms), row.first)
    if state is None or first is None:
        return None
    return SendingChainRecord(
        decode_sending(state), row.scope, row.started_ms, row.ends_ms, bool(row.is_closed)
    )


# --- who reads them --------------------------------------------------------------------------


def owe(tx: Transaction, chain_id: bytes, nodes: Collection[NodeId], index: int) -> None:
    """Note that `nodes` need the chain from message `index` on; those noted before stay."""
    known = readers(tx.connection, chain_id)
    rows = [
        {"chain_id": chain_id, "node": node, "index": index, "at_ms": 0}
        for node in sorted(set(nodes) - known.keys())
    ]
    if rows:
        tx.connection.execute(insert(_GIVEN), rows)


def owed(conn: Connection, chain_id: bytes) -> dict[NodeId, int]:
    """Return {node: index} of those who need the chain and were not given it."""
    return _readers(conn, _GIVEN.c.chain_id == chain_id, _GIVEN.c.at_ms == 0)


def owed_to(conn: Connection, node: NodeId) -> list[tuple[bytes, int]]:
    """Return (chain id, index) of every chain that `node` needs and was not given."""
    query = (
        select(_GIVEN.c.chain_id, _GIVEN.c.index)
        .where(_GIVEN.c.node == node, _GIVEN.c.at_ms == 0)
        .order_by(_GIVEN.c.chain_id)
    )
    return [(row[0], int(row[1])) for row in conn.execute(query)]


def note_given(tx: Transaction, chain_id: bytes, nodes: Collection[NodeId], now_ms: int) -> None:
    """Note that a bundle with the chain's keys for `nodes` was stored in this transaction."""
    tx.connection.execute(
        update(_GIVEN)
        .where(_GIVEN.c.chain_id == chain_id, _GIVEN.c.node.in_(nodes))
        .values(at_ms=now_ms)
    )


def readers(conn: Connection, chain_id: bytes) -> dict[NodeId, int]:
    """Return {node: index} of everybody who was given the chain or needs it."""
    return _readers(conn, _GIVEN.c.chain_id == chain_id)


def _readers(conn: Connection, *conditions: ColumnElement[bool]) -> dict[NodeId, int]:
    query = select(_GIVEN.c.node, _GIVEN.c.index).where(*conditions).order_by(_GIVEN.c.node)
    return {row[0]: int(row[1]) for row in conn.execute(query)}


# --- chains of others ------------------------------------------------------------------------


def receiving_chain(
    conn: Connection, chain_id: bytes, author: NodeId
) -> tuple[ReceivingChain, bytes] | None:
    """Return a chain of `author` and the scope it is for, None if its keys are not here.

    Damaged ones are not here either: whoever misses them asks the author again.
    """
    query = select(_RECEIVING).where(
        _RECEIVING.c.chain_id == chain_id, _RECEIVING.c.author == author
    )
    row = conn.execute(query).first()
    if row is None:
        return None
    state = Seals(conn).open_or_none(receiving_seat(chain_id, author, row.ends_ms), row.state)
    return None if state is None else (decode_receiving(state), row.scope)


def put_receiving_chain(
    tx: Transaction, chain: ReceivingChain, author: NodeId, scope: bytes, ends_ms: int
) -> None:
    """Keep the state of a chain of `author` in the place of the one before."""
    here = (_RECEIVING.c.chain_id == chain.chain_id, _RECEIVING.c.author == author)
    seat = receiving_seat(chain.chain_id, author, ends_ms)
    state = Seals(tx.connection).seal(seat, encode_receiving(chain))
    values = {"scope": scope, "ends_ms": ends_ms, "state": state}
    changed = tx.connection.execute(update(_RECEIVING).where(*here).values(values)).rowcount
    if not changed:
        tx.connection.execute(
            insert(_RECEIVING).values(chain_id=chain.chain_id, author=author, **values)
        )


# --- the end of keys -------------------------------------------------------------------------


def erase_ended(tx: Transaction, now_ms: int) -> int:
    """Erase every key whose time is over; return how many rows went.

    What was sealed to an erased key stays sealed for ever, whoever seizes the device.
    """
    times = {"now_ms": now_ms, "kept_ms": now_ms - SENDING_CHAIN_KEEP_MS}
    if not tx.connection.execute(_IS_ANY_ENDED, times).scalar_one():
        return 0
    return sum(tx.connection.execute(old, times).rowcount for old in _ERASE)


def given_ms(conn: Connection, chain_id: bytes, node: NodeId) -> int:
    """Return when a reader was given a chain last; 0 if it is owed it, or has no part in it."""
    query = select(_GIVEN.c.at_ms).where(_GIVEN.c.chain_id == chain_id, _GIVEN.c.node == node)
    found = conn.execute(query).scalar()
    return 0 if found is None else int(found)


def receiving_ends_ms(conn: Connection, chain_id: bytes, author: NodeId) -> int:
    """Return when another author's chain is erased, Unix milliseconds; 0 if it is not held."""
    query = select(_RECEIVING.c.ends_ms).where(
        _RECEIVING.c.chain_id == chain_id, _RECEIVING.c.author == author
    )
    found = conn.execute(query).scalar()
    return 0 if found is None else int(found)
