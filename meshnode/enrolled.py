"""The steps of enrolment that touch the store: a number for the first prekey, and what an answer
brings.

An answer is saved in one transaction before the identity is written, so a power cut between the
two leaves a request that can be answered again. Source: wire-format 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import trio

from meshnode.enrol import (
    Accepted,
    FirstPrekey,
    Pending,
    accept_answer,
    finish,
    first_prekey,
    make_keys,
    make_request,
    open_keys,
    refuse_enrolled,
)
from meshnode.home import Home, locked
from meshnode.membership import record_of_document
from meshnode.reception import record_of
from meshnode.runtime import Runtime
from meshnode.store import bundles as rows
from meshnode.store import documents, keyring, network_keys
from meshnode.store.engine import Connection, Store, Transaction, open_store
from meshnode.store.keyring import KeyPurpose
from meshnode.trust import Trust
from meshnode.vault import wrapping
from meshnode.vault.keystore import KeyStore
from meshnode.vault.vault import Vault
from meshnode.vault.wrapping import AgentCost
from protocol import authority
from protocol import bundle as bundles
from protocol.bundle import Bundle
from protocol.enrolment import Enrolled, Invitation
from protocol.envelope import HpkeSealer, Sealer, decode_prekey_untrusted
from protocol.errors import EnrolmentError
from protocol.identity import DeviceClass
from protocol.ids import short_id
from protocol.network_keys import OLD_EPOCHS_MAX, WeeklyKey

__all__ = ["complete", "request_for", "save_enrolled", "weekly_keys_of"]


_CARRIED = frozenset({DeviceClass.PHONE, DeviceClass.TABLET})
"""Devices that start in somebody's hand."""


async def request_for(
    home: Path,
    invitation: Invitation,
    runtime: Runtime,
    secret: str | None = None,
    *,
    cost: AgentCost | None = None,
    sealer: Sealer | None = None,
) -> Pending:
    """Make keys, a first prekey and the request to `invitation`, and save them in `home`.

    `secret` is what will open the device from now on; without one it is unattended, which a phone
    or tablet cannot be. A home that has asked before wants the secret it was given then.
    Raises: EnrolmentError (`enrolled`, `secret`), KeystoreError, HomeError, StoreError.
    """
    sealer = sealer or HpkeSealer()
    place = Home(home)
    with locked(place):
        refuse_enrolled(home)
        vault = await runtime.run_blocking(_first_vault, home, invitation, runtime, secret, cost)
        async with open_store(place.store, runtime, vault=vault) as store:
            seq = await store.write(Transaction.take_seq)
            keys = make_keys()
            prekey = first_prekey(
                keys, invitation.zone, store.incarnation, seq, runtime.now_ms(), sealer
            )
            return make_request(home, invitation, keys, prekey, vault)


def _first_vault(
    home: Path,
    invitation: Invitation,
    runtime: Runtime,
    secret: str | None,
    cost: AgentCost | None,
) -> Vault:
    if KeyStore.exists(home):
        return KeyStore.open(home, runtime).unlocked_vault(secret)
    if secret is None and invitation.device_class in _CARRIED:
        raise EnrolmentError(
            "secret", "a phone or tablet is carried about and lost: choose a secret for it"
        )
    keys = KeyStore.create(home, secret, runtime, cost=cost or wrapping.AGENT_COST)
    return keys.unlocked_vault(secret)


async def complete(
    home: Path,
    text: str,
    runtime: Runtime,
    secret: str | None = None,
    *,
    sealer: Sealer | None = None,
) -> Accepted:
    """Check the answer in `text`, save what it brings, and become a member.

    `secret` is that of `request_for`. Raises: EnrolmentError and the errors of the answer's
    parts, KeystoreError, HomeError, StoreError.
    """
    sealer = sealer or HpkeSealer()
    place = Home(home)
    with locked(place):
        refuse_enrolled(home)
        if not KeyStore.exists(home):
            raise EnrolmentError(
                "no_request", "no request waits here: enrol with an invitation first"
            )
        keys = KeyStore.open(home, runtime)
        vault = await runtime.run_blocking(keys.unlocked_vault, secret)
        accepted = accept_answer(home, text, runtime.now_ms(), sealer, vault)
        async with open_store(place.store, runtime, vault=vault) as store:
            await save_enrolled(store, accepted.enrolled, accepted.pending.prekey, runtime)
        with trio.CancelScope(shield=True):
            await runtime.run_blocking(finish, home, accepted, vault)
    return accepted


async def weekly_keys_of(home: Path, runtime: Runtime, secret: str | None) -> list[WeeklyKey]:
    """Return the weekly keys of the node in `home`, which must not run, that others may get.

    Raises: HomeError, EnrolmentError, KeystoreError, StoreError.
    """
    place, keys = Home(home), open_keys(home, runtime)
    with locked(place):
        vault = keys.open_vault()
        if vault.is_locked:
            vault.unlock(await runtime.run_blocking(keys.agent_master, secret or ""))
        async with open_store(place.store, runtime, vault=vault) as store:
            return await store.read(_offered)


def _offered(conn: Connection) -> list[WeeklyKey]:
    held = [authority.decode_untrusted(raw) for raw in documents.all_raw(conn)]
    revoked = Trust.of(held).revoked.keys()
    return [
        each for purpose in OLD_EPOCHS_MAX for each in network_keys.offered(conn, purpose, revoked)
    ]


async def save_enrolled(
    store: Store, enrolled: Enrolled, first: FirstPrekey, runtime: Runtime
) -> None:
    """Save documents, keys and prekeys of an answer in one transaction. Raises: StoreError."""
    now_ms = runtime.now_ms()
    network_key = enrolled.secrets.network_key
    own = bundles.decode_untrusted(first.container)
    others = [bundles.decode_untrusted(raw) for raw in enrolled.prekeys]

    def save(tx: Transaction) -> None:
        for document in enrolled.documents:
            documents.put(tx, record_of_document(document, now_ms))
        keyring.put_network_key(tx, KeyPurpose.NETWORK, b"", network_key, now_ms)
        for each in enrolled.secrets.weekly:
            keyring.put_network_key(tx, each.purpose, each.key_id, each.key, now_ms)
        keyring.put_own_prekey(tx, first.secret, decode_prekey_untrusted(own.body))
        for prekey in others:
            keyring.put_peer_prekey(tx, prekey.header.author, decode_prekey_untrusted(prekey.body))
        _carry(tx, [own], network_key, now_ms, is_own=True)
        _carry(tx, others, network_key, now_ms, is_own=False)
        tx.hlc = max(tx.hlc, own.header.hlc)

    await store.write(save)


def _carry(
    tx: Transaction, prekeys: Sequence[Bundle], network_key: bytes, now_ms: int, *, is_own: bool
) -> None:
    """Put prekey bundles among those that travel."""
    records = [
        record_of(each, short_id(network_key, each.digest), 0, now_ms, is_own=is_own)
        for each in prekeys
        if each.header.expires_ms > now_ms
    ]
    rows.add_many(tx, records)
