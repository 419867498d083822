"""A scene of the second act: two phones have a network, and one of them speaks for the squad."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import trio

from meshnode.demo.cast import CENTRE
from meshnode.demo.report import Report
from meshnode.demo.stage import Stage

__all__ = ["Speaking", "uplink_rows"]

_COVERED: Final = ("alice", "chloe")
"""Whose phones have a network in this scene."""
_WORD: Final = "Relève faite au col, RAS"
_TAKEN_S_MAX: Final = 40.0

_Told = Callable[[], Awaitable[bool]]


class Until(Protocol):
    """Waits until the devices say so, or for a bound of seconds, and tells if that was over."""

    async def __call__(self, words: str, told: _Told, seconds: float = ..., /) -> None: ...


def uplink_rows(told: Mapping[str, dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return one row for each device, from what its node says of its uplink."""
    return [
        (
            name,
            each["uplink"]["name"] if each["uplink"] else each["role"],
            str(each["hops"]),
            str(each["score"]),
            "yes" if each["has_gateway"] else "-",
        )
        for name, each in told.items()
    ]


class Speaking:
    """Plays the scene with a squad that is together and on shift."""

    def __init__(self, stage: Stage, report: Report, squad: Sequence[str], until: Until) -> None:
        self._stage = stage
        self._report = report
        self._squad = tuple(squad)
        self._until = until

    async def play(self) -> None:
        """Play it. Raises: NodeFailedError, NetworkError, ControlError."""
        self._report.act("10. Two phones have a network: one of them speaks for the squad")
        network = self._stage.network
        await network.uncover("vehicule")
        for name in _COVERED:
            await network.cover(name)
        await self._until("one phone speaks for all", self._is_one_for(self._squad))
        async with self._stage.nodes["bruno"].line() as api:
            sent = await api.send("codt", _WORD)
        await self._until("Bruno's word is at the centre", self._is_delivered(sent["message"]))
        told = await self._all_told(self._squad)
        self._report.table(
            ("device", "sends through", "hops", "fitness", "session with the centre"),
            uplink_rows(told),
        )
        await self._replace(told)
        for name in _COVERED:
            await network.uncover(name)
        await network.cover("vehicule")

    async def _replace(self, told: Mapping[str, dict[str, Any]]) -> None:
        """Switch off whoever speaks, and wait until another one does."""
        speaking = [name for name, each in told.items() if each["role"] == "own"]
        if not speaking:
            return
        first = speaking[0]
        await self._stage.nodes[first].cut_power()
        self._report.scene(f"the battery of {first} dies (kill -9)")
        others = [name for name in self._squad if name != first]
        since_s = trio.current_time()
        await self._until("another one speaks", self._is_one_for(others), _TAKEN_S_MAX)
        passed_s = trio.current_time() - since_s
        for name, each in (await self._all_told(others)).items():
            if each["role"] == "own" and each["has_gateway"]:
                self._report.says(name, f"speaks for the squad, {passed_s:.1f} s later")
        await self._stage.nodes[first].start()

    def _is_one_for(self, names: Sequence[str]) -> _Told:
        async def told() -> bool:
            found = await self._all_told(names)
            speaking = [name for name, each in found.items() if each["role"] == "own"]
            reaching = [name for name, each in found.items() if each["has_gateway"]]
            followed = {each["uplink"]["name"] for each in found.values() if each["uplink"]}
            return speaking == reaching and followed == set(speaking) and len(speaking) == 1

        return told

    async def _all_told(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        found = {}
        for name in names:
            async with self._stage.nodes[name].line() as api:
                found[name] = await api.uplink()
        return found

    def _is_delivered(self, message: str) -> _Told:
        async def told() -> bool:
            async with self._stage.nodes[CENTRE].line() as api:
                return any(each["message"] == message for each in await api.inbox(0, 1_000))

        return told
