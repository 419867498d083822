"""The second act: a day of the squad, with its shift, board, alarm and a file, and a boat at port.

Everything is asked of the nodes through their control sockets; what is printed is what they
answered. Each scene ends when the devices say what it was for, or after a bound.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

from meshnode.demo.cast import CAR, CENTRE, COL
from meshnode.demo.network import Network
from meshnode.demo.port import PortCall
from meshnode.demo.report import Report, short
from meshnode.demo.speaking import Speaking
from meshnode.demo.stage import Stage
from meshnode.demo.waiting import come_about
from meshnode.runtime import Runtime

__all__ = ["DOCUMENT", "FILE_BYTES", "SQUAD_DEVICES", "Duty", "board_rows", "step_rows"]

SQUAD_DEVICES: Final = ("alice", "bruno", "chloe")
"""Who opens a shift."""
DOCUMENT: Final = "releves.pdf"
"""The file that Alice sends."""
FILE_BYTES: Final = 12_000_000
"""Its size."""
_BREAKS: Final = (20, 60)
"""The contact is cut once so much of the file is there, per cent."""
_WAIT_S_MAX: Final = 40.0
_FILE_S_MAX: Final = 40.0
_SOS: Final = "Chute dans l'éboulis, cheville cassée"

_Told = Callable[[], Awaitable[bool]]


def board_rows(board: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return one row for each mate of a board, as `Api.board` gives it."""
    return [
        (
            mate["name"],
            "on shift" if mate["is_on_shift"] else "off",
            _place(mate["position"]),
            _value(mate["battery"], lambda it: f"{it['level_pct']} %"),
            _value(mate["coverage"], lambda it: str(it["network"])),
            "in contact" if mate["is_in_contact"] else "-",
        )
        for mate in board["mates"]
    ]


def _place(place: dict[str, Any] | None) -> str:
    return _value(
        place, lambda it: f"{it['latitude']:.4f} {it['longitude']:.4f} ± {it['accuracy_m']:.0f} m"
    )


def _value(value: dict[str, Any] | None, words: Callable[[dict[str, Any]], str]) -> str:
    if value is None:
        return "-"
    age = "old, " if value["is_stale"] else ""
    return f"{words(value)} ({age}{value['age_s']} s)"


def step_rows(alarms: dict[str, dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return one row for each device, from the alarm as its node gives it."""
    return [
        (
            name,
            alarm["state"].replace("_", " "),
            *(
                ", ".join(each["name"] for each in alarm[step]) or "-"
                for step in ("seen", "taken", "on_scene", "closings")
            ),
        )
        for name, alarm in alarms.items()
    ]


class Duty:
    """Plays the day on a stage whose nodes run, the squad together at its vehicle."""

    def __init__(self, stage: Stage, report: Report, runtime: Runtime) -> None:
        self._stage = stage
        self._network: Network = stage.network
        self._report = report
        self._runtime = runtime
        self.port = PortCall(stage, report, runtime, self._until)
        """The scene with the boat, which the sums at the end ask for what it sent."""

    async def play(self) -> None:
        """Play everything. Raises: NodeFailedError, NetworkError, ControlError."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._stage.watch)
            await self._open_shifts()
            await Speaking(self._stage, self._report, SQUAD_DEVICES, self._until).play()
            await self._alarm()
            await self._file()
            await self.port.play()
            await self._close_shifts()
            nursery.cancel_scope.cancel()

    # --- scenes -----------------------------------------------------------------------------

    async def _open_shifts(self) -> None:
        self._report.act("9. The squad opens its shift: who is where, with how much battery")
        for name in SQUAD_DEVICES:
            async with self._stage.nodes[name].line() as api:
                shift = await api.shift_open(8)
            hours = (shift["ends_ms"] - shift["opened_ms"]) / 3_600_000
            self._report.says(name, f"has its shift open, for {hours:.0f} h")
        await self._until("Alice's board shows everybody", self._is_board_full)
        async with self._stage.nodes["alice"].line() as api:
            board = await api.board()
        self._report.table(
            ("Alice's board", "shift", "place", "battery", "network", "contact"), board_rows(board)
        )

    async def _is_board_full(self) -> bool:
        async with self._stage.nodes["alice"].line() as api:
            mates = (await api.board())["mates"]
        told = [each for each in mates if each["position"] and each["battery"] and each["coverage"]]
        return {each["name"] for each in told} >= set(SQUAD_DEVICES)

    async def _alarm(self) -> None:
        self._report.act("11. Bruno falls, alone above the pass: an SOS and its steps")
        await self._network.uncover("vehicule")
        await self._network.leave("bruno")
        await self._network.go("bruno", COL)
        async with self._stage.nodes["bruno"].line() as api:
            raised = await api.sos(_SOS)
        self._report.says("bruno", f"raises «{short(_SOS)}»; nobody hears it yet")
        await self._network.leave("alice")
        await self._network.go("alice", COL)
        self._report.scene("Alice comes up to the pass")
        await self._until("Alice sees it", self._stands("alice", "raised", "seen"))
        async with self._stage.nodes["alice"].line() as api:
            await api.alarm_seen("last")
            await api.alarm_take("last", "J'y vais")
            await api.alarm_on_scene("last")
        await self._until("Bruno knows who is there", self._stands("bruno", "on_scene"))
        async with self._stage.nodes["bruno"].line() as api:
            await api.alarm_close(raised["alarm"], "Évacué avec Alice")
        await self._until("Alice knows that it is over", self._stands("alice", "closed"))
        await self._network.leave("alice")
        await self._network.go("alice", CAR)
        await self._network.cover("vehicule")
        self._report.scene("Alice is back at the vehicle, which has coverage")
        for name in ("chloe", CENTRE):
            await self._until(f"{name} knows it all", self._stands(name, "closed"))
        alarms = {name: await self._last_alarm(name) for name in (*SQUAD_DEVICES, CENTRE)}
        self._report.table(
            ("device", "alarm", "seen", "taken", "on scene", "closed"), step_rows(alarms)
        )

    def _stands(self, name: str, *states: str) -> _Told:
        async def told() -> bool:
            alarm = await self._last_alarm(name)
            return bool(alarm) and alarm["text"] == _SOS and alarm["state"] in states

        return told

    async def _last_alarm(self, name: str) -> dict[str, Any]:
        async with self._stage.nodes[name].line() as api:
            alarms = await api.alarms()
        return alarms[0] if alarms else {}

    async def _file(self) -> None:
        self._report.act("12. Alice sends a file to Bruno over a contact that breaks")
        path = self._stage.folder / DOCUMENT
        content = b"%PDF-1.7\n" + self._runtime.entropy(FILE_BYTES - 9)
        path.write_bytes(content)
        await self._network.leave("alice")
        await self._network.go("alice", COL)
        async with self._stage.nodes["alice"].line() as api:
            await api.send("bruno", "Les relevés du mois", attach=str(path))
        self._report.says("alice", f"sends {DOCUMENT}, {FILE_BYTES / 1e6:.0f} MB, to bruno")
        await self._until("the file is begun", self._has_percent(_BREAKS[0]), _FILE_S_MAX)
        await self._network.leave("bruno")
        self._report.scene(f"the contact breaks at {await self._percent():.0f} %")
        await self._network.go("bruno", COL)
        await self._until("it goes on", self._has_percent(_BREAKS[1]), _FILE_S_MAX)
        have = await self._percent()
        await self._stage.nodes["bruno"].cut_power()
        self._report.scene(f"Bruno's battery dies at {have:.0f} % (kill -9)")
        await self._stage.nodes["bruno"].start()
        await self._until("the file is whole", self._is_whole, _FILE_S_MAX)
        await self._compare(hashlib.sha256(content).digest())

    async def _compare(self, digest: bytes) -> None:
        """Save the file on Bruno's phone and say whether it is the one that Alice sent."""
        target = self._stage.nodes["bruno"].home / "received.pdf"
        async with self._stage.nodes["bruno"].line() as api:
            (file,) = await api.files()
            if file["state"] != "complete":
                self._report.says("bruno", f"has {await self._percent():.0f} % of it")
                return
            await api.file_save(file["file"], str(target))
        saved = await trio.Path(target).read_bytes()
        is_same = hashlib.sha256(saved).digest() == digest
        words = "the same bytes" if is_same else "OTHER bytes"
        self._report.says("bruno", f"has the file whole, {words} that Alice sent")

    async def _is_whole(self) -> bool:
        async with self._stage.nodes["bruno"].line() as api:
            files = await api.files()
        return bool(files) and files[0]["state"] == "complete"

    def _has_percent(self, least: int) -> _Told:
        async def told() -> bool:
            return await self._percent() >= least

        return told

    async def _percent(self) -> float:
        async with self._stage.nodes["bruno"].line() as api:
            files = await api.files()
        return 100 * files[0]["have_bytes"] / files[0]["size_bytes"] if files else 0.0

    async def _close_shifts(self) -> None:
        self._report.act("14. The squad closes its shift: where it was is erased")
        for name in ("alice", "bruno"):
            await self._network.leave(name)
            await self._network.go(name, CAR)
        for name in SQUAD_DEVICES:
            async with self._stage.nodes[name].line() as api:
                held = len(await api.positions())
                await api.shift_close()
            self._report.says(name, f"had {held} positions, and closes its shift")
        await self._close_own_alarm("yann", "À l'hôpital")
        for name in SQUAD_DEVICES:
            await self._until(f"{name} keeps no position", self._keeps_no_position(name))
        for name in (*SQUAD_DEVICES, CENTRE):
            await self._until(f"every alarm is over for {name}", self._is_quiet(name))
        await self._until("Alice and Bruno know that all arrived", self._is_all_delivered)

    async def _close_own_alarm(self, name: str, text: str) -> None:
        async with self._stage.nodes[name].line() as api:
            own = [each for each in await api.alarms() if each["is_own"]]
            for alarm in own:
                await api.alarm_close(alarm["alarm"], text)
                self._report.says(name, f"closes «{short(alarm['text'])}»: {text}")

    def _is_quiet(self, name: str) -> _Told:
        async def told() -> bool:
            async with self._stage.nodes[name].line() as api:
                return all(each["state"] == "closed" for each in await api.alarms())

        return told

    def _keeps_no_position(self, name: str) -> _Told:
        async def told() -> bool:
            async with self._stage.nodes[name].line() as api:
                return not await api.positions()

        return told

    async def _is_all_delivered(self) -> bool:
        for name in ("alice", "bruno"):
            async with self._stage.nodes[name].line() as api:
                states = {each["state"] for each in await api.outgoing(0, 1_000)}
            if states != {"delivered"}:
                return False
        return True

    # --- waiting ----------------------------------------------------------------------------

    async def _until(self, words: str, told: _Told, seconds: float = _WAIT_S_MAX) -> None:
        """Wait until the devices say so; after the bound the story goes on and says so too."""
        if not await come_about(told, seconds):
            self._report.scene(f"not within {seconds:.0f} s: {words}")
