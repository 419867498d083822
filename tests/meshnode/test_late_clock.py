"""A device whose clock is late by more than a day refuses what is new, and says so."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.cli.language import speak
from meshnode.cli.network import _print_status
from meshnode.clock import seems_late
from meshnode.web.prometheus import exposition
from protocol.reports import Reception
from tests.meshnode.rig import Rig, bundle_of

LATE_MS = 25 * 3_600_000
WORDS = "most of what comes in seems to be of the future and is refused: is it late?"


@pytest.mark.parametrize(
    ("stored", "too_far_ahead", "is_late"),
    [(0, 0, False), (0, 1, True), (5, 5, False), (5, 6, True), (1_000, 3, False)],
)
def test_it_is_late_if_more_is_refused_as_of_the_future_than_stored(
    stored: int, too_far_ahead: int, *, is_late: bool
) -> None:
    assert seems_late(stored, too_far_ahead) is is_late


async def test_a_late_clock_is_told_until_it_is_set(
    autojump_clock: MockClock, met: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    api = Api(bruno.node)
    bruno.machine.clock_ahead_ms = -LATE_MS
    assert not (await api.status())["is_clock_late"]
    refused = []
    for number in range(bruno.metric("bundles_stored") + 1):
        assert not (await api.status())["is_clock_late"], "what came before still outweighs it"
        sent = await anna.send(bruno.scope, f"not taken: {number}")
        refused.append(bundle_of(await anna.held(), sent.id))
        assert await bruno.take(refused[-1:]) == [Reception.TOO_FAR_AHEAD]
    found = await api.status()
    assert found["is_clock_late"]
    assert "meshnode_clock_late 1\n" in exposition(found)
    assert WORDS in shown({"is_running": True, **found}, capsys)
    # The clock is set: what was refused comes again, and is taken.
    bruno.machine.clock_ahead_ms = 0
    assert set(await bruno.take(refused)) == {Reception.STORED}
    found = await api.status()
    assert not found["is_clock_late"]
    assert "meshnode_clock_late 0\n" in exposition(found)
    assert WORDS not in shown({"is_running": True, **found}, capsys)


async def test_the_status_of_an_older_node_says_nothing_of_it(
    autojump_clock: MockClock, met: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {"is_running": False, **await Api(met["anna"].node).status()}
    del found["is_clock_late"]
    assert "clock" not in shown(found, capsys)


async def test_it_is_told_in_french_and_beside_a_jump(
    autojump_clock: MockClock, met: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {"is_running": False, **await Api(met["anna"].node).status()}
    troubled = {**found, "is_clock_late": True, "is_clock_doubted": True}
    speak("fr")
    assert "avant confirmation; presque tout ce qui arrive" in shown(troubled, capsys)


def shown(found: dict[str, object], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the command prints of a status, in one line."""
    capsys.readouterr()
    _print_status(found)
    return " ".join(capsys.readouterr().out.split())
