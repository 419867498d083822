"""An enrolment may break at any step: the same answer completes it afterwards. Source: STYLE 34."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio

from meshnode.config import LinkSettings, Settings
from meshnode.enrol import finish, is_enrolled, make_home, read_invitation
from meshnode.enrolled import complete, request_for
from meshnode.errors import StoreError
from meshnode.files import write_private
from meshnode.running import open_home
from meshnode.runtime import Runtime, system_runtime
from protocol.armour import TextForm, armour
from protocol.identity import DeviceClass
from tests.faults.breaking import broken
from tests.meshnode.enrolling import NOW_MS, invite, make_authority, opened, text_of
from tests.meshnode.store.parts import inline_runtime

pytestmark = pytest.mark.slow

T = TypeVar("T")

_STEPS_MAX = 400
_COUNTS = ("document", "network_key", "own_prekey", "peer_prekey", "bundle", "own_bundle")


class _PowerCutError(Exception):
    """The machine lost its power."""


def _runtime() -> Runtime:
    return dataclasses.replace(inline_runtime(), entropy=system_runtime().entropy)


async def _answered(folder: Path) -> tuple[Path, str]:
    """Return the home of a device that has asked, and the answer, which brings a peer's prekey."""
    (folder / "hq").mkdir()
    make_authority(folder / "hq")
    answer = ""
    with opened(folder / "hq") as authority:
        for name in ("first", "second"):
            invitation = read_invitation(
                text_of(invite(authority, name, kind=DeviceClass.PC)), NOW_MS
            )
            make_home(folder / name)
            pending = await request_for(folder / name, invitation, _runtime())
            answer = armour(TextForm.ANSWER, authority.issue(pending.text, NOW_MS).encode())
    return folder / "second", answer


def _counts(home: Path) -> dict[str, int]:
    with closing(sqlite3.connect(home / "store.sqlite")) as connection:
        return {
            name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
            for name in _COUNTS
        }


async def _opens(home: Path) -> bool:
    settings = Settings(links=LinkSettings(listen=()))
    async with open_home(home, settings, _runtime()) as node:
        return bool(node.membership.directory.member(node.identity.node))


@pytest.mark.parametrize("is_cut", [False, True])
async def test_an_answer_can_be_accepted_again_after_any_step(
    tmp_path: Path, *, is_cut: bool
) -> None:
    base, answer = await _answered(tmp_path)
    whole = Path(shutil.copytree(base, tmp_path / "whole"))
    await complete(whole, answer, _runtime())
    for step in range(1, _STEPS_MAX):
        home = Path(shutil.copytree(base, tmp_path / f"step {step}"))
        with broken(step, is_cut=is_cut) as breaker:
            try:
                await complete(home, answer, _runtime())
            except StoreError:
                assert breaker.has_struck
        if not is_enrolled(home):
            assert breaker.has_struck
            await complete(home, answer, _runtime())
        assert _counts(home) == _counts(whole)
        assert await _opens(home)
        if not breaker.has_struck:
            break
    assert not breaker.has_struck
    assert step > 10, "the work has many steps, and each was broken"


async def test_an_answer_that_was_saved_and_not_finished_can_be_accepted_again(
    tmp_path: Path,
) -> None:
    home, answer = await _answered(tmp_path)

    async def cut_before_finish(
        function: Callable[..., T], *args: object, limiter: trio.CapacityLimiter | None = None
    ) -> T:
        if function is finish:
            raise _PowerCutError
        return await _runtime().run_blocking(function, *args)

    with pytest.raises(_PowerCutError):
        await complete(
            home, answer, dataclasses.replace(_runtime(), run_blocking=cut_before_finish)
        )
    assert not is_enrolled(home)
    saved = _counts(home)
    await complete(home, answer, _runtime())
    assert _counts(home) == saved
    assert await _opens(home)


async def test_the_identity_appears_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, answer = await _answered(tmp_path)
    for cut_at in range(1, 20):
        home = Path(shutil.copytree(base, tmp_path / f"cut {cut_at}"))
        written: list[Any] = []

        def write(
            path: Path, data: bytes, written: list[Any] = written, cut_at: int = cut_at
        ) -> None:
            written.append(path)
            if len(written) >= cut_at:
                raise _PowerCutError
            write_private(path, data)

        with monkeypatch.context() as patch:
            patch.setattr("meshnode.enrol.write_private", write)
            try:
                await complete(home, answer, _runtime())
            except _PowerCutError:
                assert not is_enrolled(home)
        if not is_enrolled(home):
            await complete(home, answer, _runtime())
        assert await _opens(home)
        if len(written) < cut_at:
            break
    assert len(written) < cut_at
