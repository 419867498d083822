"""A gateway in its home: from acceptance to search, export, answer and the key for another."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from sqlalchemy import create_engine, text

from meshnode.api import Api
from meshnode.config import Settings
from meshnode.directory import UnknownNameError
from meshnode.errors import ArchiveError, ArchiveKeyError, ArchiveTamperedError, ControlError
from meshnode.gateway.gateway import Gateway
from meshnode.outbox import Priority, Writing
from meshnode.running import open_guarded
from meshnode.stick import StickError
from protocol.identity import Role
from tests.meshnode.gateway.meeting import carry, enrol_and_meet
from tests.meshnode.homes import ALONE, runtime
from tests.patience import HANGS_S

pytestmark = [pytest.mark.slow, pytest.mark.real]
Address = tuple[str, Path]
TEXT = "Évacuation du refuge terminée, au pont"


def settings(address: Address | None = None) -> Settings:
    url = "" if address is None else address[0]
    return replace(ALONE, gateway=replace(ALONE.gateway, database=url))


@asynccontextmanager
async def opened(home: Path, chosen: Settings | None = None) -> AsyncIterator[tuple[Api, Gateway]]:
    async with open_guarded(home, chosen or settings(), runtime()) as guard:
        assert guard.gateway is not None
        yield Api(guard.node, guard), guard.gateway


async def write(home: Path, words: str, to: str = "codt") -> None:
    async with open_guarded(home, ALONE, runtime()) as guard:
        scope = guard.node.membership.directory.find(to, guard.node.identity.zone)
        await guard.node.outbox.send(Writing(scope, words, Priority.NORMAL, None))
        await guard.node.settle()


async def _make(folder: Path) -> None:
    await enrol_and_meet(folder, first=Role.GATEWAY, second=Role.GATEWAY, anna=Role.AGENT)
    async with opened(folder / "first") as (api, _gateway):
        assert await api.archive_found()
        assert not await api.archive_found()
    await write(folder / "anna", TEXT)
    await carry(folder / "anna", folder / "first")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two gateways, of which the first archives, and an agent who has written to the centre."""
    folder = tmp_path_factory.mktemp("homes")
    trio.run(_make, folder)
    return folder


@pytest.fixture
def homes(made: Path, tmp_path: Path) -> dict[str, Path]:
    """Copies of the three homes."""
    for name in ("first", "second", "anna"):
        shutil.copytree(made / name, tmp_path / name)
    return {name: tmp_path / name for name in ("first", "second", "anna")}


async def drain(gateway: Gateway) -> int:
    return await (await gateway.feeder()).drain()


async def test_a_text_to_the_centre_is_archived_and_found(homes: dict[str, Path]) -> None:
    async with opened(homes["first"]) as (api, gateway):
        assert (await api.archive_status())["waiting"] > 0
        await drain(gateway)
        status = await api.archive_status()
        assert status["waiting"] == 0
        held = {each["class"]: each for each in status["held"]}
        assert (held["texts"]["bundles"], held["texts"]["contents"]) == (1, 1)
        (found,) = (await api.archive_search("evacuation REFUGE"))["found"]
        assert found["text"] == TEXT
        assert found["author"]["name"] == "anna"
        (found,) = (await api.archive_search(author="anna", to="codt", bundles=True))["found"]
        assert found["bytes"] > 0
        assert (await api.archive_search("sommet"))["found"] == []
        with pytest.raises(ArchiveError, match="no word"):
            await api.archive_search("!")
        with pytest.raises(ArchiveError, match="positions"):
            await api.archive_search(classes=["letters"])


async def test_no_text_and_no_key_lies_in_the_home(homes: dict[str, Path]) -> None:
    async with opened(homes["first"]) as (api, gateway):
        await drain(gateway)
        assert (await api.archive_search("refuge"))["found"]
        master = gateway.master_key()
    for path in homes["first"].rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            assert b"refuge" not in raw.lower(), path
            assert master not in raw, path


async def test_an_export_for_a_judge_is_whole_signed_and_noted(
    homes: dict[str, Path], tmp_path: Path
) -> None:
    file = tmp_path / "export.zip"
    async with opened(homes["first"]) as (api, gateway):
        await drain(gateway)
        with pytest.raises(ArchiveError, match="reason"):
            await api.archive_export(str(file), " ")
        done = await api.archive_export(str(file), "réquisition 12/2026", "anna")
        assert (done["contents"], done["bundles"] > 0) == (1, True)
        # Nothing is said to be handed out that was not, and what one judge got stays.
        for place in (file, tmp_path / "missing" / "export.zip"):
            with pytest.raises(StickError):
                await api.archive_export(str(place), "a second one")
        assert file.stat().st_mode & 0o077 == 0
        checked = await api.archive_verify(str(file))
        assert (checked["kind"], checked["reason"]) == ("export", "réquisition 12/2026")
        entries = (await api.retention_log())["entries"]
        assert entries[-1]["action"] == "export"
        assert entries[-1]["details"]["reason"] == "réquisition 12/2026"
        events = [each["event"] for each in (await api.audit())["entries"]]
        assert "archive_exported" in events
    async with opened(homes["second"]) as (api, _gateway):
        # Another gateway can check it, by the rosters.
        assert (await api.archive_verify(str(file)))["gateway"]["name"] == "first"
    with zipfile.ZipFile(file) as archive:
        (line,) = archive.read("contents.jsonl").splitlines()
        assert json.loads(line)["text"] == TEXT


@pytest.mark.parametrize(
    "name", ["contents.jsonl", "manifest.json", "manifest.sig", "LISEZMOI.txt"]
)
async def test_an_export_that_was_changed_is_refused(
    homes: dict[str, Path], tmp_path: Path, name: str
) -> None:
    file, forged = tmp_path / "export.zip", tmp_path / "forged.zip"
    async with opened(homes["first"]) as (api, gateway):
        await drain(gateway)
        await api.archive_export(str(file), "a reason")
        names = ["contents.jsonl", "manifest.json", "manifest.sig", "LISEZMOI.txt"]
        for name in names:
            _change(file, forged, name)
            with pytest.raises(ArchiveError):
                await api.archive_verify(str(forged))
        (tmp_path / "cut.zip").write_bytes(file.read_bytes()[:-40])
        with pytest.raises(ArchiveError):
            await api.archive_verify(str(tmp_path / "cut.zip"))
        assert api._node.metrics.value("archive_files_refused") == 5


def _change(source: Path, target: Path, name: str) -> None:
    """Copy an export with one bit of one of its files changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for each in old.namelist():
            raw = bytearray(old.read(each))
            if each == name:
                raw[len(raw) // 2] ^= 1
            new.writestr(each, bytes(raw))


async def test_what_is_held_about_a_device_is_answered_and_signed(
    homes: dict[str, Path], tmp_path: Path
) -> None:
    file = tmp_path / "answer"
    async with opened(homes["first"]) as (api, gateway):
        await drain(gateway)
        found = await api.archive_held("anna", str(file))
        texts = next(each for each in found["held"] if each["class"] == "texts")
        assert (texts["bundles"], texts["contents"], texts["days"]) == (1, 1, 365)
        assert texts["next_purge_ms"] > runtime().now_ms() + 364 * 86_400_000
        assert b"pont" not in file.read_bytes()
        checked = await api.archive_verify(str(file))
        assert checked["kind"] == "answer"
        assert checked["held"] == found["held"]
        raw = bytearray(file.read_bytes())
        raw[len(raw) // 2] ^= 1
        file.write_bytes(bytes(raw))
        with pytest.raises(ArchiveError):
            await api.archive_verify(str(file))
        assert (await api.retention_log())["entries"][-1]["action"] == "answer"


async def test_a_device_that_left_the_rosters_is_asked_about_by_its_id(
    homes: dict[str, Path], tmp_path: Path
) -> None:
    """An agent who left may ask, and a judge may ask about one."""
    left = "abcd-efgh-ijkl-mnop-qrst-uvwx-ya"
    async with opened(homes["first"]) as (api, gateway):
        await drain(gateway)
        found = await api.archive_held(left, str(tmp_path / "answer"))
        assert found["device"]["node"] == left
        assert all(each["bundles"] == 0 for each in found["held"])
        assert (await api.archive_search(author=left))["found"] == []
        done = await api.archive_export(str(tmp_path / "export.zip"), "réquisition", left)
        assert (done["contents"], done["bundles"]) == (0, 0)
        with pytest.raises(UnknownNameError):
            await api.archive_held("anne")


async def test_a_purge_log_that_lost_its_end_is_told(homes: dict[str, Path]) -> None:
    import sqlite3

    async with opened(homes["first"]) as (api, _gateway):
        await api.retention_apply()
        assert (await api.retention_verify())["entries"] == 1
        assert (await api.retention_log())["entries"][0]["action"] == "terms"
    path = homes["first"] / "archive.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM record")
    connection.commit()
    connection.close()
    async with opened(homes["first"]) as (api, _gateway):
        with pytest.raises(ArchiveTamperedError, match="cut off"):
            await api.retention_verify()


async def test_the_terms_in_force_are_noted_once_and_again_when_they_change(
    homes: dict[str, Path],
) -> None:
    async with opened(homes["first"]) as (api, _gateway):
        await api.retention_apply()
        await api.retention_apply()
    shorter = settings()
    shorter = replace(shorter, retention=replace(shorter.retention, positions=30))
    async with opened(homes["first"], shorter) as (api, _gateway):
        await api.retention_apply()
        entries = (await api.retention_log())["entries"]
        assert [each["details"]["positions"] for each in entries] == ["61", "30"]
        assert (await api.retention())["terms"][0]["days"] == 30


async def test_an_agent_has_no_archive(homes: dict[str, Path]) -> None:
    async with open_guarded(homes["anna"], ALONE, runtime()) as guard:
        assert guard.gateway is None
        with pytest.raises(ControlError, match="badge"):
            await Api(guard.node, guard).archive_status()


async def test_two_gateways_share_one_archive(
    homes: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("cluster").database()
    shared = settings((url, tmp_path))
    file = tmp_path / "archive key"
    async with opened(homes["first"], shared) as (api, _gateway):
        with pytest.raises(ArchiveError, match="gateways and operators"):
            await api.archive_key_export(str(file), "anna")
        assert (await api.archive_key_export(str(file), "second"))["name"] == "second"
    async with open_guarded(homes["anna"], ALONE, runtime()) as guard:
        with pytest.raises(ControlError):
            await Api(guard.node, guard).archive_key_import(str(file))
    async with opened(homes["second"], shared) as (api, _gateway):
        forged = bytearray(file.read_bytes())
        forged[len(forged) // 2] ^= 1
        (tmp_path / "forged").write_bytes(bytes(forged))
        with pytest.raises(ArchiveKeyError):
            await api.archive_key_import(str(tmp_path / "forged"))
        assert api._node.metrics.value("archive_keys_refused") == 1
        assert (await api.archive_key_import(str(file)))["name"] == "first"
        with pytest.raises(ArchiveKeyError, match="already"):
            await api.archive_key_import(str(file))
    await carry(homes["anna"], homes["second"])
    async with (
        opened(homes["first"], shared) as (one, first),
        opened(homes["second"], shared) as (two, second),
    ):
        heard: list[dict[str, Any]] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_hear, one, heard, nursery.cancel_scope)
            nursery.start_soon(first._listen)
            await until_somebody_listens(url)
            await drain(second)
            nursery.cancel_scope.deadline = trio.current_time() + 20
        assert heard
        assert heard[0]["name"] == "second"
        await drain(first)
        assert one._node.metrics.value("archive_again") > 0
        for api in (one, two):
            (found,) = (await api.archive_search("pont"))["found"]
            assert found["gateway"]["name"] == "second"
        await one.retention_apply()
        await two.retention_apply()
        entries = (await two.retention_log())["entries"]
        assert [each["gateway"]["name"] for each in entries] == ["first"]
        assert (await one.retention_verify())["entries"] == 1


async def _hear(api: Api, heard: list[dict[str, Any]], scope: trio.CancelScope) -> None:
    async with aclosing(api.follow()) as events:
        async for event in events:
            if event["event"] == "archive_grew":
                heard.append(event)
                scope.cancel()
                return


async def until_somebody_listens(url: str) -> None:
    """Wait until a session of this database is told what others put into it."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    listening = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND query LIKE 'LISTEN %'"
    )
    try:
        with trio.fail_after(HANGS_S), engine.connect() as connection:
            while not connection.execute(listening).scalar_one():  # noqa: ASYNC110 - no event
                await trio.sleep(0.05)
    finally:
        engine.dispose()
