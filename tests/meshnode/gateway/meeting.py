"""Homes that meet without a network: everything that one holds is put into the other."""

from __future__ import annotations

from pathlib import Path

from meshnode.running import open_guarded
from meshnode.store import bundles
from meshnode.store.engine import Connection
from protocol.identity import Role
from protocol.ids import ShortId
from protocol.limits import Kind
from tests.meshnode.homes import ALONE, enrolled_home, runtime

__all__ = ["carry", "enrol_and_meet", "meet"]


async def enrol_and_meet(folder: Path, **roles: Role) -> None:
    """Enrol a device of each name and role in `folder`, and let all of them meet."""
    for name, role in roles.items():
        await enrolled_home(folder, name, role)
    await meet(*(folder / name for name in roles))


async def meet(*homes: Path) -> None:
    """Let everybody have everything that the others hold, and all documents."""
    for source in homes:
        for target in homes:
            if source != target:
                await carry(source, target)


async def carry(source: Path, target: Path) -> None:
    """Give all that one home holds to another."""
    async with open_guarded(source, ALONE, runtime()) as guard:
        keys = list(guard.node.membership.versions)
        documents = await guard.node.relay.read_documents(keys)
        ids = await guard.node.store.read(_all_ids)
        raws = await guard.node.relay.read_bundles(ids)
    async with open_guarded(target, ALONE, runtime()) as guard:
        await guard.node.membership.accept(documents)
        await guard.node.relay.receive(None, [(hops, raw) for raw, hops in raws.values()])
        await guard.node.settle()


def _all_ids(conn: Connection) -> list[ShortId]:
    return [each.short_id for kind in Kind for each in bundles.by_kind(conn, kind)]
