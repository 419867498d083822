"""A scene of the second act: the boat comes to port with what its crew wrote while nobody heard it.

How far the box is, and how long it takes, is what its node says, as `meshnode unload` shows it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import trio

from meshnode.demo.cast import BOAT, CENTRE
from meshnode.demo.report import Report
from meshnode.demo.speaking import Until
from meshnode.demo.stage import Stage
from meshnode.runtime import Runtime

__all__ = ["CATCH", "PortCall", "catch_notes", "look_rows"]

_CREW: Final = "yann"
CATCH: Final = "carnet.pdf"
"""The file that the crew sends."""
_CATCH_BYTES: Final = 4_000_000
_CHUNK_BYTES: Final = 32_768
_NOTES: Final = 16
"""With those of the first journey less than others take of one author in an hour."""
_WORD: Final = "Le carnet de la semaine"
_LOOK_EVERY_S: Final = 0.1
_LOOKS_SHOWN_MAX: Final = 5
_DRAIN_S_MAX: Final = 30.0
_CELLS: Final = 12


def catch_notes(count: int = _NOTES) -> list[str]:
    """Return what the crew writes on its second journey, each different."""
    return [
        f"Contrôle {number:02d} : {3 + number % 7} casiers relevés, filière {number * 13 % 90:02d}"
        for number in range(1, count + 1)
    ]


def look_rows(looks: Sequence[tuple[float, dict[str, Any]]]) -> list[tuple[str, ...]]:
    """Return a row for the first look, the last, and some between; a look is seconds and a port."""
    last = len(looks) - 1
    shown = {round(last * part / (_LOOKS_SHOWN_MAX - 1)) for part in range(_LOOKS_SHOWN_MAX)}
    return [_row(*looks[each]) for each in sorted(shown)] if looks else []


def _row(at_s: float, port: dict[str, Any]) -> tuple[str, ...]:
    if not port["is_counted"]:
        return (f"{at_s:.1f} s", "", str(port["done"]), "not counted yet", "", "", "")
    total = port["done"] + port["left"]
    part = port["done"] / total if total else 1.0
    full = int(part * _CELLS)
    seconds = port["seconds_left"]
    return (
        f"{at_s:.1f} s",
        f"[{'#' * full}{'.' * (_CELLS - full)}] {int(100 * part)} %",
        str(port["done"]),
        str(port["left"]),
        f"{port['left_bytes'] / 1e6:.2f} MB",
        "" if port["bytes_s"] is None else f"{port['bytes_s'] / 1e6:.1f} MB/s",
        "nobody knows" if seconds is None else f"{seconds:.1f} s",
    )


class PortCall:
    """Plays the scene; the boat's box and its crew are aboard together."""

    def __init__(self, stage: Stage, report: Report, runtime: Runtime, until: Until) -> None:
        self._stage = stage
        self._report = report
        self._runtime = runtime
        self._until = until
        self._looks: list[tuple[float, dict[str, Any]]] = []
        self.sent_before_bytes = 0
        """What the box had sent to the centre before this call, bytes."""
        self.digest = ""
        """SHA-256 of the file before it was sent, hexadecimal."""

    async def play(self) -> None:
        """Play it. Raises: NodeFailedError, NetworkError, ControlError."""
        self._report.act("13. The boat has been out of reach again, and comes to port")
        await self._stage.network.uncover(BOAT)
        await self._stage.nodes[BOAT].stop()
        await self._stage.nodes[BOAT].start()
        self._report.scene("the boat puts to sea; its box was switched off and on")
        self.sent_before_bytes = await self._sent_to_centre()
        before: int = (await self._unloading())["bundles"]
        await self._write()
        chunks = -(-_CATCH_BYTES // _CHUNK_BYTES)

        async def is_aboard() -> bool:
            found: int = (await self._unloading())["bundles"]
            return found >= before + _NOTES + 1 + chunks

        await self._until("the box has it all", is_aboard)
        held = await self._unloading()
        self._report.says(
            BOAT,
            f"carries {held['bundles']} bundles, {held['bytes'] / 1e6:.1f} MB; "
            f"{len(held['gateways'])} gateways in reach",
        )
        await self._stage.network.cover(BOAT)
        self._report.scene("the boat is alongside")
        await self._drain()
        await self._until("the centre has the file", self._is_file_whole)
        await self._until("the crew knows that all is ashore", self._is_all_delivered)

    async def _write(self) -> None:
        path = self._stage.folder / CATCH
        content = b"%PDF-1.7\n" + self._runtime.entropy(_CATCH_BYTES - 9)
        self.digest = hashlib.sha256(content).hexdigest()
        path.write_bytes(content)
        async with self._stage.nodes[_CREW].line() as api:
            for text in catch_notes():
                await api.send("codt", text, priority="low")
            await api.send("codt", _WORD, attach=str(path))
        self._report.says(
            _CREW, f"has written {_NOTES} notes to codt and {CATCH}, {_CATCH_BYTES / 1e6:.0f} MB"
        )

    async def _drain(self) -> None:
        """Look at the box until it has handed over all, and show some of the looks."""
        since_s = trio.current_time()

        async def is_done() -> bool:
            gateways = (await self._unloading())["gateways"]
            self._looks += [(trio.current_time() - since_s, each) for each in gateways[:1]]
            await trio.sleep(_LOOK_EVERY_S)
            return bool(gateways) and bool(gateways[0]["is_counted"]) and not gateways[0]["left"]

        await self._until("all is ashore", is_done, _DRAIN_S_MAX)
        self._report.table(
            ("after", "progress", "ashore", "left", "size", "rate", "takes"),
            look_rows(self._looks),
        )

    async def _unloading(self) -> dict[str, Any]:
        async with self._stage.nodes[BOAT].line() as api:
            return await api.unloading()

    async def _sent_to_centre(self) -> int:
        async with self._stage.nodes[BOAT].line() as api:
            met = await api.peers()
        return sum(int(each["sent_bytes"]) for each in met if each["name"] == CENTRE)

    async def _is_file_whole(self) -> bool:
        async with self._stage.nodes[CENTRE].line() as api:
            states = {each["name"]: each["state"] for each in await api.files()}
        return states.get(CATCH) == "complete"

    async def _is_all_delivered(self) -> bool:
        async with self._stage.nodes[_CREW].line() as api:
            return {each["state"] for each in await api.outgoing(0, 1_000)} == {"delivered"}
