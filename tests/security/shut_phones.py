"""Phones in real homes whose lease has ended, with something on them that must stay closed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from meshnode.api import Api
from meshnode.lease import BoundFile
from meshnode.locking import Guard
from meshnode.node import Node
from meshnode.running import Access, open_guarded, open_home
from meshnode.runtime import Runtime, system_runtime
from meshnode.store import bundles as rows
from protocol.guards import LEASE_BOX_MS
from protocol.limits import Kind
from tests.meshnode.enrolling import SECRET
from tests.security.orders import enrol_phone
from tests.security.parts import SETTINGS, SQUAD, Town, documents_of

__all__ = [
    "ALARM",
    "FILE",
    "KNOWN",
    "PLACE",
    "TEXT",
    "end_lease",
    "filled_phone",
    "renew_lease",
    "reopened",
    "shown_at",
    "sos_of",
]

RUNTIME = system_runtime()
TEXT = "the lorry crosses at dawn by the old mule track"
ALARM = "an earlier fall, near the chapel"
FILE = "names of the crew.txt"
PLACE = (44.123456, 6.654321)
KNOWN = (TEXT, ALARM, "chapel", FILE, "44.12345", "441234560", "6.65432", "66543210")
"""What stands in no answer of a phone that is shut."""


async def filled_phone(town: Town, name: str = "phone") -> Path:
    """Enrol a phone and let its agent work for a while; return its home, its lease running."""
    home = await enrol_phone(town, name, documents_of(town.home("hq"), RUNTIME))
    async with open_home(home, SETTINGS, RUNTIME, secret=SECRET) as node:
        api = Api(node)
        await api.shift_open()
        await api.position(*PLACE, accuracy_m=9)
        await api.send(f"squad:{SQUAD}", TEXT)
        await api.sos(ALARM)
        path = home.parent / FILE
        path.write_text("nobody shall read this")
        await api.send(f"squad:{SQUAD}", f"{TEXT} again", attach=str(path))
        await node.settle()
    return home


def end_lease(home: Path) -> None:
    """Let a device have heard nothing of the centre for longer than any lease."""
    BoundFile(home / "lease").write(RUNTIME.now_ms() + LEASE_BOX_MS + 60_000)


def renew_lease(home: Path) -> None:
    """Let it count as heard of today."""
    (home / "lease").unlink()


@asynccontextmanager
async def reopened(
    home: Path, access: Access | None = None, runtime: Runtime = RUNTIME
) -> AsyncIterator[tuple[Api, Guard]]:
    """Open a home as a command does that was given no secret."""
    async with open_guarded(home, SETTINGS, runtime, access) as guard:
        yield Api(guard.node, guard), guard


async def sos_of(node: Node) -> list[bytes]:
    """Return the containers of alarms that a node holds."""
    return await node.store.read(lambda conn: rows.raws_of_kind(conn, Kind.SOS))


async def shown_at(town: Town, name: str, raws: list[bytes]) -> list[str]:
    """Bring alarms to a device, and return the texts that its screens show."""
    async with open_home(town.home(name), SETTINGS, RUNTIME) as node:
        await node.membership.accept(documents_of(town.home("hq"), RUNTIME))
        await node.relay.receive(None, [(0, raw) for raw in raws])
        await node.settle()
        return [each["text"] for each in await Api(node).alarms()]
