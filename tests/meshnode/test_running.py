"""A node in its home: it waits for a command that holds the home, and never for another node."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio

from meshnode import running as module
from meshnode.audit import EVENTS
from meshnode.client import RemoteApi, open_api
from meshnode.errors import HomeBusyError, WrongSecretError
from meshnode.home import Home, locked
from meshnode.running import open_home, run_home
from meshnode.web import order_desk
from protocol.authority import DocumentClass
from tests.meshnode.enrolling import SECRET
from tests.meshnode.homes import ALONE, enrolled_home, runtime

pytestmark = [pytest.mark.real, pytest.mark.slow]


async def test_a_node_starts_once_the_command_before_it_has_ended(tmp_path: Path) -> None:
    home, _ = await enrolled_home(tmp_path, "anna")

    async def command(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with locked(Home(home)):
            task_status.started()
            await trio.sleep(0.25)

    async with trio.open_nursery() as nursery:
        await nursery.start(command)
        await nursery.start(run_home, home, ALONE, runtime())
        async with open_api(home, runtime(), ALONE) as api:
            assert isinstance(api, RemoteApi)
        nursery.cancel_scope.cancel()


async def test_a_command_that_does_not_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, _ = await enrolled_home(tmp_path, "anna")
    monkeypatch.setattr(module, "BUSY_S_MAX", 0.3)
    with locked(Home(home)), pytest.raises(HomeBusyError, match="in use by process"):
        await run_home(home, ALONE, runtime())


async def test_a_second_node_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, _ = await enrolled_home(tmp_path, "anna")
    # Whoever would wait here waits until the test is given up.
    monkeypatch.setattr(module, "BUSY_S_MAX", 600.0)
    async with trio.open_nursery() as nursery:
        await nursery.start(run_home, home, ALONE, runtime())
        with trio.fail_after(60), pytest.raises(HomeBusyError):
            await run_home(home, ALONE, runtime())
        nursery.cancel_scope.cancel()


async def test_a_node_starts_over_damaged_rows_and_counts_them(tmp_path: Path) -> None:
    """Whatever is damaged but the root and the key of the network."""
    home, _ = await enrolled_home(tmp_path, "anna")
    with closing(sqlite3.connect(home / "store.sqlite")) as connection:
        change = "UPDATE document SET raw = zeroblob(40) WHERE document_class <> ?"
        changed = connection.execute(change, (int(DocumentClass.ROOT),)).rowcount
        connection.commit()
    assert changed > 0
    async with open_home(home, ALONE, runtime()) as node:
        assert set(node.membership.trust.held) == {(int(DocumentClass.ROOT), b"")}
        # Once for the certificates to trust, and once for the documents themselves.
        assert node.metrics.value("seals_broken") == 2 * changed


async def test_a_wrong_secret_stands_in_the_log_also_where_no_node_runs(tmp_path: Path) -> None:
    home, _ = await enrolled_home(tmp_path, "anna", secret=SECRET)
    for _try in range(2):
        with pytest.raises(WrongSecretError):
            async with open_home(home, ALONE, runtime(), secret="not the secret at all"):
                raise AssertionError
    async with open_home(home, ALONE, runtime()) as node:
        shown = await node.auditing.show(100)
        assert [each.event for each in shown.entries] == ["unlocks_refused"] * 2


async def test_opening_by_hand_stands_in_the_log_of_a_running_node(tmp_path: Path) -> None:
    home, _ = await enrolled_home(tmp_path, "anna", secret=SECRET)
    async with trio.open_nursery() as nursery:
        await nursery.start(run_home, home, ALONE, runtime())
        async with open_api(home, runtime(), ALONE) as api:
            assert await api.unlock(SECRET)
            assert not await api.unlock(SECRET)
            assert [each["event"] for each in (await api.audit())["entries"]] == ["unlocked"]
        nursery.cancel_scope.cancel()


def test_every_event_of_the_log_is_noted_somewhere() -> None:
    modules = Path(module.__file__).parent.rglob("*.py")
    source = "".join(path.read_text(encoding="utf-8") for path in modules)
    # The desk of orders on the screens has one place in which it notes all of its steps.
    desk = Path(order_desk.__file__).read_text(encoding="utf-8")
    noted = [event for event in EVENTS if f'.note("{event}")' in source or f'"{event}"' in desk]
    assert noted == list(EVENTS)
