"""Whoever holds all that a relay has can read nothing it carries. Security case S18.

The relay meets a writer and a reader over TLS. Then everything in its home that could be a key is
tried, in every way a key is used, on every bundle it holds. The same trials open each bundle with
the homes of those who may read it, or they would prove nothing.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import lru_cache, partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from meshnode.enrol import badge_key, link_password
from meshnode.node import Node
from meshnode.outbox import Priority, Sent, Writing
from meshnode.running import open_home
from meshnode.runtime import system_runtime
from meshnode.store import bundles as rows
from meshnode.store import messages
from meshnode.store.sealed_columns import SEALED
from meshnode.vault.vault import DataKey
from protocol import bundle as bundles
from protocol.bundle import Bundle, Suite
from protocol.chains import SendingChain, key_for, receiving_chain, seed_at
from protocol.envelope import (
    HpkeSealer,
    PrekeySecret,
    decode_slots_untrusted,
    open_message,
    seal_info,
    slot_info,
    sos_message_key,
)
from protocol.errors import MeshError, NoKeyError
from protocol.limits import Kind
from tests.architecture.tree import ROOT
from tests.environment import unmeasured
from tests.meshnode.homes import vault_at
from tests.security.parts import SETTINGS, SQUAD, ZONE, Town, address_of, running

pytestmark = [pytest.mark.real, pytest.mark.slow]

KEY_BYTES = 32
PREKEY_BYTES = 96
SEALED_KINDS = (Kind.TEXT, Kind.NOTE, Kind.SOS, Kind.CHAIN_KEYS)
LETTERS = (
    (f"squad:{SQUAD}", "the bridge at Arvieux is gone", Priority.NORMAL),
    (f"squad:{SQUAD}", "two people at the hut", Priority.LOW),
    ("bob", "bring the long rope", Priority.NORMAL),
    ("codt", "twelve people are on the move", Priority.NORMAL),
    ("zone", "help at the col, one leg broken", Priority.SOS),
)


# --- what could be a key ---------------------------------------------------------------------


def unsealed(home: Path, *, is_bundle: bool) -> Iterator[bytes]:
    """Yield every sealed value of the store, opened; containers, or all others."""
    vault = vault_at(home)
    with closing(sqlite3.connect(home / "store.sqlite")) as store:
        keys = {(kind, day): key for kind, day, key in store.execute("SELECT * FROM data_key")}
        for each in SEALED:
            if (each.table == "bundle") is not is_bundle:
                continue
            names = ", ".join((*each.named_by, each.column))
            for *named, sealed in store.execute(f"SELECT {names} FROM {each.table}"):
                seat = each.seat(*named)
                key = DataKey(seat.kind, seat.day, keys[seat.kind, seat.day])
                yield vault.open(key, seat.table, seat.place, sealed)


def values(home: Path) -> Iterator[bytes]:
    """Yield every value in the store that is no bundle, sealed or open, and the device's keys."""
    vault = vault_at(home)
    yield badge_key(home, vault).private_bytes_raw()
    pem, password = (home / "keys" / "link.pem").read_bytes(), link_password(vault)
    yield load_pem_private_key(pem, password).private_bytes_raw()  # type: ignore[union-attr]
    yield from unsealed(home, is_bundle=False)
    with closing(sqlite3.connect(home / "store.sqlite")) as store:
        tables = [
            name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        for table in tables:
            if table == "bundle" or table.startswith("sqlite_"):
                continue
            for row in store.execute(f'SELECT * FROM "{table}"'):
                yield from (each for each in row if isinstance(each, bytes))


def windows(home: Path) -> set[bytes]:
    """Return everything of the length of a key that stands anywhere in those values."""
    return {
        value[start : start + KEY_BYTES]
        for value in values(home)
        for start in range(len(value) - KEY_BYTES + 1)
    }


def prekeys(home: Path) -> list[PrekeySecret]:
    """Return everything of the length of a private prekey."""
    whole = {value for value in values(home) if len(value) == PREKEY_BYTES}
    return [PrekeySecret(bytes(8), 2**48 - 1, value) for value in whole]


def held(home: Path) -> list[Bundle]:
    """Return the sealed bundles of a store."""
    found = [bundles.decode_untrusted(raw) for raw in unsealed(home, is_bundle=True)]
    return [each for each in found if each.header.kind in SEALED_KINDS]


def message_keys(bundle: Bundle, value: bytes) -> Iterator[bytes]:
    """Yield every key that 32 bytes may stand for or lead to."""
    header = bundle.header
    yield value
    yield sos_message_key(value, header.id)
    with suppress(NoKeyError):
        yield key_for(receiving_chain(header.keyref, 0, value), header.index)[1]
    if header.index:
        yield from _keys_of_later_starts(value, header.index)


@lru_cache(maxsize=1 << 14)
def _keys_of_later_starts(value: bytes, index: int) -> tuple[bytes, ...]:
    """Return the key of message `index` for a chain that has `value` at 1, 2, … or `index`.

    Which chain it is makes no difference there, so one walk serves the bundles of all.
    """
    chains = (receiving_chain(bytes(8), index, _seed_after(value, n)) for n in range(index))
    return tuple(key_for(chain, index)[1] for chain in chains)


@lru_cache(maxsize=1 << 16)
def _seed_after(value: bytes, steps: int) -> bytes:
    """Return the seed so many messages after `value`; which message has that one matters not."""
    if not steps:
        return value
    return seed_at(SendingChain(bytes(8), 0, _seed_after(value, steps - 1)), 1)


def openings(bundle: Bundle, home: Path, keys: set[bytes]) -> Iterator[Callable[[], object]]:
    """Yield every trial on one bundle."""
    header, info, sealer = bundle.header, seal_info(bundle.header_bytes), HpkeSealer()
    for value in keys:
        for key in message_keys(bundle, value) if header.suite is not Suite.HYBRID else ():
            yield partial(open_message, key, bundle.header_bytes, bundle.body)
    for secret in prekeys(home):
        yield partial(sealer.open_hybrid, secret, info, bundle.body)
        if header.kind is Kind.CHAIN_KEYS:
            for slot in decode_slots_untrusted(bundle.body):
                member_info = slot_info(bundle.header_bytes, slot.member)
                yield partial(sealer.open_hybrid, secret, member_info, slot.sealed)


def opens(bundle: Bundle, home: Path, keys: set[bytes]) -> bool:
    """Tell whether any trial succeeds."""
    for trial in openings(bundle, home, keys):
        try:
            trial()
        except MeshError:
            continue
        return True
    return False


# --- the meeting -----------------------------------------------------------------------------


async def write_all(node: Node) -> list[Sent]:
    """Write to everybody, in every way of sealing."""
    find = node.membership.directory.find
    return [
        await node.outbox.send(Writing(find(to, ZONE), text, priority))
        for to, text, priority in LETTERS
    ]


async def meet(town: Town, name: str, carrier: Node) -> list[str]:
    """Let somebody sync with a carrier; return the texts of the inbox afterwards."""
    async with open_home(town.home(name), SETTINGS, system_runtime()) as node:
        for _ in range(2):
            done = await node.manager.sync_once(address_of(carrier), lambda _stats: None)
            assert done.is_complete
            await node.settle()
        found = await node.store.read(lambda conn: messages.list_inbox(conn, 0, 100))
        return [each.text for each in found]


async def test_all_that_a_relay_has_opens_nothing(town: Town, tmp_path: Path) -> None:
    told: list[str] = []

    def trace(event: str, /, **fields: object) -> None:
        told.append(json.dumps([event, fields], default=str))

    async with running(town.home("mule"), trace) as mule:
        # Bob's prekey must be known to Alice before she can seal to him.
        for name in ("bob", "centre", "alice"):
            await meet(town, name, mule)
        async with open_home(town.home("alice"), SETTINGS, system_runtime()) as alice:
            await write_all(alice)
        await meet(town, "alice", mule)
        frozen = tmp_path / "mule as it is"
        shutil.copytree(town.home("mule"), frozen, ignore=shutil.ignore_patterns("control.sock"))
        for_bob = {text for to, text, _priority in LETTERS if to != "codt"}
        assert set(await meet(town, "bob", mule)) == for_bob
        assert await mule.store.read(lambda conn: messages.list_inbox(conn, 0, 100)) == []
        summaries = await mule.store.read(lambda conn: rows.by_kind(conn, Kind.SOS))
        assert len(summaries) == 1
    carried, keys = held(frozen), windows(frozen)
    assert {each.header.kind for each in carried} == set(SEALED_KINDS)
    assert len(carried) >= len(LETTERS) + 2
    assert len(keys) > 1_000
    print(f"{len(keys)} possible keys, {len(carried)} bundles")
    assert [each.header for each in carried if opens(each, frozen, keys)] == []

    # The trials are worth something: those who wrote or may read open all of it that way.
    readers = {name: windows(town.home(name)) for name in ("alice", "bob", "centre")}
    for each in carried:
        assert any(opens(each, town.home(name), mine) for name, mine in readers.items()), each

    for home in (frozen, town.home("mule")):
        files = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
        for _to, text, _priority in LETTERS:
            assert not any(text.encode() in raw for raw in files), text
    for _to, text, _priority in LETTERS:
        assert not any(text in line for line in told), text


# --- code ------------------------------------------------------------------------------------

RELAYING = (
    "meshnode.relay",
    "meshnode.reception",
    "meshnode.receipting",
    "meshnode.immunity",
    "meshnode.admission",
    "meshnode.planning",
    "meshnode.ledger",
    "meshnode.contact_log",
    "meshnode.links",
)
OPENING = ("protocol.envelope", "protocol.chains", "protocol.payloads", "meshnode.store.keyring")


def test_the_import_contract_names_all_that_relays_and_all_that_opens() -> None:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = (
        each for each in found["contracts"] if each["name"] == "relays cannot read content"
    )
    assert contract["type"] == "forbidden"
    assert set(RELAYING) <= set(contract["source_modules"])
    assert set(OPENING) <= set(contract["forbidden_modules"])
    assert not contract.get("ignore_imports")


@pytest.mark.parametrize("module", RELAYING)
def test_what_relays_is_loaded_without_what_opens(module: str) -> None:
    """The contract reads source; this sees what a program really loads."""
    modules = [module]
    if module == "meshnode.links":
        folder = ROOT / "meshnode" / "links"
        modules = [f"{module}.{path.stem}" for path in folder.glob("[a-z]*.py")]
    program = (
        f"import sys, {', '.join(modules)}\n"
        f"print([each for each in {OPENING!r} if each in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=unmeasured(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[]"
