"""Kill -9 at every change of the disk by an SOS on a phone that is shut: all of it is there, or
nothing, and the phone is as shut as before.."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from meshnode.errors import LockedError
from protocol import bundle as bundles
from tests.faults.dying import deaths, in_the_database
from tests.meshnode.enrolling import SECRET
from tests.security.parts import Town, make_town
from tests.security.shut_phones import (
    ALARM,
    end_lease,
    filled_phone,
    renew_lease,
    reopened,
    shown_at,
    sos_of,
)

pytestmark = [pytest.mark.slow, pytest.mark.real, pytest.mark.repeating]

NEEDED = "a fall at the col"
STEPS_MIN = 12


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return make_town(tmp_path_factory.mktemp("town"))


@pytest.fixture(scope="module")
def shut(town: Town) -> Path:
    home = trio.run(filled_phone, town)
    end_lease(home)
    return home


async def _raise(home: Path) -> None:
    async with reopened(home) as (api, _guard):
        assert (await api.sos_by_secret(SECRET, NEEDED))["is_shut"]


def _live(home: Path) -> None:
    trio.run(_raise, home)


async def _found(home: Path) -> tuple[list[bytes], list[str]]:
    """Return the alarms that would leave, and what its agent reads once it is opened again."""
    async with reopened(home) as (api, guard):
        raws = await sos_of(guard.node)
        with pytest.raises(LockedError):
            await api.alarms()
    renew_lease(home)
    async with reopened(home) as (api, guard):
        await api.unlock(SECRET)
        named = {each["alarm"] for each in await api.alarms()}
        for each in named:
            assert await api.alarm_way(each) == "queued"
        return raws, [each["text"] for each in await api.alarms()]


def test_killed_at_any_step_it_is_whole_or_not_there(
    town: Town, shut: Path, tmp_path: Path
) -> None:
    (earlier,) = trio.run(_found_earlier, shut)
    outcomes = []
    for home, is_done in deaths(tmp_path, shut, _live, STEPS_MIN, in_the_database):
        raws, texts = trio.run(_found, home)
        made = [each for each in raws if each != earlier]
        assert sorted(texts) == sorted([ALARM, *([NEEDED] if made else [])])
        assert len(made) <= 1
        assert made or not is_done
        outcomes.append(bool(made))
    assert outcomes == sorted(outcomes), "once it is kept it stays"
    assert bundles.decode_untrusted(made[0])
    assert NEEDED in trio.run(shown_at, town, "alice", made)


async def _found_earlier(home: Path) -> list[bytes]:
    async with reopened(home) as (_api, guard):
        return await sos_of(guard.node)
