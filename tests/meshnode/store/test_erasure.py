"""Erasing what is the agent's leaves no row that only the agent could open, and all of the rest."""

from __future__ import annotations

import pytest

from meshnode.outbox import Writing
from meshnode.store import documents, keyring
from meshnode.store.engine import Connection
from meshnode.store.erasure import erase_agent_rows
from meshnode.store.keyring import KeyPurpose
from meshnode.store.schema import METADATA
from meshnode.store.sealed_columns import SEALED
from meshnode.vault.kinds import Tier
from protocol.bundle import Scope
from sims.fleet import ZONE
from tests.meshnode.rig import Rig, open_rig, squad_scope

pytestmark = pytest.mark.slow


def agent_rows(conn: object) -> int:
    """Return how many sealed values in a store are the agent's."""
    found = 0
    for column in SEALED:
        rows = METADATA.tables[column.table]
        values = conn.execute(rows.select()).mappings().all()  # type: ignore[attr-defined]
        for row in values:
            seat = column.seat(*(row[name] for name in column.named_by))
            found += seat.kind.tier is Tier.AGENT
    return found


async def test_no_row_of_the_agent_is_left_and_the_device_keeps_its_own(
    autojump_clock: object,
) -> None:
    async with open_rig() as rig:
        await _live(rig)
        anna = rig["anna"]
        held = await anna.ids()
        assert await anna.store.read(agent_rows) > 5
        gone = await anna.store.write(erase_agent_rows)
        assert gone > 5
        assert await anna.store.read(agent_rows) == 0
        assert await anna.store.write(erase_agent_rows) == 0
        assert await anna.ids() == held, "what it carries for others stays"
        assert len(await anna.store.read(documents.all_raw)) > 1
        keys = {
            purpose: await anna.store.read(lambda conn, p=purpose: keyring.network_keys(conn, p))  # type: ignore[misc]
            for purpose in KeyPurpose
        }
        assert keys[KeyPurpose.NETWORK]
        assert not keys[KeyPurpose.ZONE_SOS]


async def test_a_receipt_is_believed_where_the_agent_is_erased(autojump_clock: object) -> None:
    """Or the device would carry for days what has arrived, and call an honest mate a liar."""
    async with open_rig() as rig:
        await rig.mix("anna", "bruno", "box")
        anna = rig["anna"]
        sent = await anna.send(rig["bruno"].scope, "for bruno")
        await rig.carry("anna", "bruno")
        await anna.store.write(erase_agent_rows)
        await rig.carry("bruno", "anna")
        assert anna.metric("receipts_refused") == 0
        assert not any(each.header.id == sent.id for each in await anna.held())
        await anna.node.relay.load()
        await anna.store.write(erase_agent_rows)
        assert await anna.store.read(own_digest_count) == await anna.store.read(own_bundle_count)


def own_digest_count(conn: Connection) -> int:
    return int(conn.exec_driver_sql("SELECT count(*) FROM own_bundle").scalar_one())


def own_bundle_count(conn: Connection) -> int:
    return int(conn.exec_driver_sql("SELECT count(*) FROM bundle WHERE is_own").scalar_one())


async def _live(rig: Rig) -> None:
    """Let anna write, read and be receipted."""
    await rig.mix("anna", "bruno", "box")
    await rig["anna"].node.outbox.send(Writing(squad_scope(), "to the squad"))
    await rig["bruno"].node.outbox.send(Writing(Scope.for_device(ZONE, rig["anna"].id), "to anna"))
    await rig.mix("anna", "bruno", "box")
    assert await rig["anna"].texts() == ["to anna"]
