"""The timeline: what people do and where they go. What came of it, only the devices tell.

A squad guards a pass in a white zone, a boat is at sea; messages go by whoever walks, drives or
sails. Each act ends when the devices say what it was for, or after a bound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import trio

from meshnode.demo.cast import CAR, CENTRE, COL, SEA, SQUAD
from meshnode.demo.network import Network
from meshnode.demo.report import Report, short
from meshnode.demo.secrecy import Trial, try_to_read
from meshnode.demo.stage import Stage
from meshnode.demo.waiting import come_about
from meshnode.demo.witness import Change, Witness, summary
from meshnode.runtime import Runtime

__all__ = ["BACKLOG", "Story", "knowledge", "notes"]

BACKLOG: Final = 80
"""Notes that the crew writes at sea."""
_WRITERS: Final = 4
"""Connections that write the backlog at the same time."""
_WAIT_S_MAX: Final = 30.0
"""An act that did not come to its end by then is over all the same; the ledger will tell."""

_REPORT: Final = "Col gardé, deux véhicules arrêtés à la borne 12"
_ASK: Final = "Besoin d'un interprète arabe au col avant 18 h"
_SEEN: Final = "Bien reçu, je reste au véhicule avec la radio"
_ANSWER: Final = "Interprète en route, arrivée prévue 17 h 40"
_ORDER: Final = "Relève de l'escouade à 19 h au parking"
_QUESTION: Final = "Vedette, heure de retour au port ?"
_SOS: Final = "Homme blessé à bord, ambulance au quai"


def notes(count: int) -> list[str]:
    """Return the backlog: texts of a boat's log, each different."""
    return [
        f"Journal de bord {number:03d} : cap {(number * 37) % 360:03d}, "
        f"{4 + number % 9} nœuds, creux {0.5 + number % 5 / 2:.1f} m, rien à signaler"
        for number in range(1, count + 1)
    ]


def knowledge(witnesses: Iterable[Witness]) -> list[tuple[str, str, str, str]]:
    """Return one row for each message: words, way, what its author knows, where it is shown."""
    everyone = list(witnesses)
    rows = []
    for author in everyone:
        for message in author.written.values():
            if message["kind"] == "note":
                continue
            way = f"{author.name} → {message['to']}"
            shown = [w.name for w in everyone if _is_shown(w, message["message"])]
            rows.append((message["text"], way, summary(message), ", ".join(shown) or "nobody"))
    return rows + [row for author in everyone for row in _backlog_row(author, everyone)]


def _is_shown(witness: Witness, message: str) -> bool:
    return any(each["message"] == message for each in witness.shown)


def _backlog_row(author: Witness, everyone: Sequence[Witness]) -> list[tuple[str, str, str, str]]:
    states = Counter(each["state"] for each in author.written.values() if each["kind"] == "note")
    if not states:
        return []
    words = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    ids = {each["message"] for each in author.written.values() if each["kind"] == "note"}
    shown = [
        f"{count} on {witness.name}"
        for witness in everyone
        if (count := sum(1 for each in witness.shown if each["message"] in ids))
    ]
    title = f"backlog of {states.total()} notes"
    return [(title, f"{author.name} → codt", words, ", ".join(shown) or "nobody")]


class Story:
    """Plays the acts on a stage whose nodes run."""

    def __init__(self, stage: Stage, report: Report, runtime: Runtime, backlog: int) -> None:
        self._stage = stage
        self._network: Network = stage.network
        self._report = report
        self._runtime = runtime
        self._backlog = notes(backlog)
        self._news = trio.Event()
        self.witnesses = {
            name: Witness(node, self._told, self._looked) for name, node in stage.nodes.items()
        }
        self.trials: list[Trial] = []
        """What came of reading a relay in the middle of the story."""

    async def play(self) -> None:
        """Play everything. Raises: NodeFailedError, NetworkError, and errors of the stores."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._stage.watch)
            for witness in self.witnesses.values():
                await nursery.start(witness.run)
            await self._alone(nursery)
            await self._first_meeting()
            await self._at_the_vehicle()
            await self._power_cut(nursery)
            await self._coverage()
            await self._way_back()
            await self._port(nursery)
            await self._home()
            nursery.cancel_scope.cancel()

    # --- acts -------------------------------------------------------------------------------

    async def _alone(self, nursery: trio.Nursery) -> None:
        self._report.act("1. In the white zone: nobody hears Alice at the pass")
        await self._network.cover(CENTRE)
        for name, place in (("vehicule", CAR), ("chloe", CAR), ("alice", COL)):
            await self._network.go(name, place)
        for name in ("vedette", "yann"):
            await self._network.go(name, SEA)
        nursery.start_soon(self._write_backlog)
        await self._write("alice", f"squad:{SQUAD}", _REPORT)
        await self._write("alice", "codt", _ASK)
        await self._until("what Alice wrote is kept", lambda: len(self._of("alice").written) == 2)
        await self._table()

    async def _first_meeting(self) -> None:
        self._report.act("2. Bruno walks up to the pass, and down again")
        self._report.scene("Bruno comes into reach of Alice's phone")
        await self._network.go("bruno", COL)
        await self._until("Bruno has the report", lambda: self._shows("bruno", _REPORT))
        await self._until("Alice knows it", lambda: self._at("alice", _REPORT, "bruno"))
        await self._until("Bruno carries the rest", lambda: self._has("alice", _ASK, "carried"))
        await self._network.leave("bruno")
        self._report.scene("Bruno walks down: the contact is over")
        await self._table()

    async def _at_the_vehicle(self) -> None:
        self._report.act("3. Bruno reaches the vehicle: its box carries what it cannot read")
        await self._network.go("bruno", CAR)
        await self._until("Chloé has the report", lambda: self._shows("chloe", _REPORT))
        before = await self._held("vehicule")
        await self._write("chloe", "alice", _SEEN)
        await self._until("it is carried", lambda: bool(self._carriers("chloe", _SEEN)))
        # From Chloé, who knows it then, or from Bruno, who is there too and may be faster.
        await self._until_told("vehicule", lambda told: told["store"]["bundles"] > before)
        await self._table()

    async def _power_cut(self, nursery: trio.Nursery) -> None:
        self._report.act("4. Batteries die: the vehicle's box and Bruno's phone (kill -9)")
        async with trio.open_nursery() as both:
            both.start_soon(self._off_and_on, "vehicule", [_REPORT, _ASK, _SEEN], nursery)
            both.start_soon(self._off_and_on, "bruno", [_ASK, _SEEN], nursery)

    async def _off_and_on(self, name: str, hidden: Sequence[str], nursery: trio.Nursery) -> None:
        """Kill a node, try to read what its disk holds for others, start it again."""
        node = self._stage.nodes[name]
        await node.cut_power()
        trial = await try_to_read(name, node.home, hidden, self._runtime, self._stage.secret)
        self.trials.append(trial)
        self._report.says(
            name,
            f"is off; its disk holds {trial.sealed} sealed bundles for others, of which "
            f"{trial.opened} open with its keys; {trial.leaked} of their texts are in its files",
        )
        await node.start()
        await nursery.start(self._of(name).run)
        self._report.says(name, "runs again")

    async def _coverage(self) -> None:
        self._report.act("5. The vehicle finds coverage, Chloé aboard; Bruno waits")
        await self._network.leave("bruno")
        await self._network.cover("vehicule")
        await self._until("the centre has Alice's call", lambda: self._shows(CENTRE, _ASK))
        await self._write(CENTRE, "alice", _ANSWER)
        await self._write(CENTRE, f"squad:{SQUAD}", _ORDER)
        await self._write(CENTRE, "yann", _QUESTION)
        await self._until("Chloé has the order", lambda: self._shows("chloe", _ORDER))
        await self._until(
            "the box has the answer", lambda: "vehicule" in self._carriers(CENTRE, _ANSWER)
        )
        await self._until_told(CENTRE, lambda status: status["metrics"]["receipts_made"] > 0)
        await self._until_alike(CENTRE, "vehicule")
        await self._table()
        await self._network.uncover("vehicule")
        self._report.scene("the vehicle drives back: no coverage any more")

    async def _way_back(self) -> None:
        self._report.act("6. The answer and the receipts walk up to the pass with Bruno")
        await self._network.go("bruno", CAR)
        await self._until("Bruno has the order", lambda: self._shows("bruno", _ORDER))
        await self._until_alike("vehicule", "bruno")
        await self._network.leave("bruno")
        await self._network.go("bruno", COL)
        self._report.scene("Bruno is with Alice again")
        await self._until("Alice has the answer", lambda: self._shows("alice", _ANSWER))
        await self._until("Alice has Chloé's word", lambda: self._shows("alice", _SEEN))
        await self._until(
            "Alice knows that all arrived",
            lambda: (
                self._has("alice", _ASK, "delivered") and self._has("alice", _REPORT, "delivered")
            ),
        )
        await self._table()

    async def _port(self, nursery: trio.Nursery) -> None:
        self._report.act(f"7. The boat reaches port with a backlog of {len(self._backlog)} notes")
        await self._until("the backlog is written", self._is_backlog_aboard, 20.0)
        await self._off_and_on("vedette", self._backlog, nursery)
        await self._write("yann", "codt", _SOS, sos=True)
        await self._until("the box has the SOS", lambda: self._has("yann", _SOS, "carried"))
        await self._network.cover("vedette")
        self._report.scene("the boat is alongside: its box reaches the centre")
        await self._until("the centre has the SOS", lambda: self._shows(CENTRE, _SOS))
        await self._until("the centre has all notes", lambda: self._backlog_at(CENTRE))
        await self._until("the crew has the question", lambda: self._shows("yann", _QUESTION))
        await self._until("the crew knows it", lambda: self._all_delivered("yann"))
        await self._table()

    async def _home(self) -> None:
        self._report.act("8. End of the mission: the squad drives home into coverage")
        for name in ("alice", "bruno"):
            await self._network.leave(name)
        for name in ("alice", "bruno"):
            await self._network.go(name, CAR)
        await self._network.cover("vehicule")
        everyone = list(self.witnesses)
        await self._until(
            "every author knows that all arrived",
            lambda: all(self._all_delivered(name) for name in everyone),
            15.0,
        )
        await self._table()

    # --- what people do ---------------------------------------------------------------------

    async def _write(self, name: str, to: str, text: str, *, sos: bool = False) -> None:
        async with self._stage.nodes[name].line() as api:
            sent = await api.send(to, text, sos=sos)
        words = "SOS " if sos else ""
        self._report.says(name, f"writes {words}«{short(text)}» to {to}: {sent['state']}")

    async def _write_backlog(self) -> None:
        async with trio.open_nursery() as nursery:
            for part in range(_WRITERS):
                nursery.start_soon(self._write_notes, self._backlog[part::_WRITERS])
        self._report.says("yann", f"has written {len(self._backlog)} notes to codt, out at sea")

    async def _write_notes(self, texts: Sequence[str]) -> None:
        async with self._stage.nodes["yann"].line() as api:
            for text in texts:
                await api.send("codt", text, priority="low")

    # --- what devices say -------------------------------------------------------------------

    def _told(self, change: Change) -> None:
        self._report.change(change)

    def _looked(self) -> None:
        news, self._news = self._news, trio.Event()
        news.set()

    def _of(self, name: str) -> Witness:
        return self.witnesses[name]

    def _shows(self, name: str, text: str) -> bool:
        return any(each["text"] == text for each in self._of(name).shown)

    def _message(self, author: str, text: str) -> dict[str, Any] | None:
        found = (each for each in self._of(author).written.values() if each["text"] == text)
        return next(found, None)

    def _has(self, author: str, text: str, state: str) -> bool:
        message = self._message(author, text)
        return message is not None and message["state"] == state

    def _at(self, author: str, text: str, reader: str) -> bool:
        """True if the author knows that `reader` has it."""
        message = self._message(author, text)
        readers = [] if message is None else message["recipients"]
        return any(each["name"] == reader and each["state"] == "on device" for each in readers)

    def _carriers(self, author: str, text: str) -> set[str]:
        message = self._message(author, text)
        return set() if message is None else {each["name"] for each in message["carriers"]}

    def _all_delivered(self, name: str) -> bool:
        return all(each["state"] == "delivered" for each in self._of(name).written.values())

    def _is_backlog_aboard(self) -> bool:
        notes = [each for each in self._of("yann").written.values() if each["kind"] == "note"]
        return len(notes) == len(self._backlog) and all(n["state"] != "queued" for n in notes)

    def _backlog_at(self, name: str) -> bool:
        return sum(1 for each in self._of(name).shown if each["kind"] == "note") >= len(
            self._backlog
        )

    async def _until(
        self, words: str, condition: Callable[[], bool], seconds: float = _WAIT_S_MAX
    ) -> None:
        """Wait until the devices say so; after the bound the story goes on and says so too."""
        with trio.move_on_after(seconds) as waiting:
            while not condition():
                await self._news.wait()
        if waiting.cancelled_caught:
            self._report.scene(f"not within {seconds:.0f} s: {words}")

    async def _until_alike(self, one: str, other: str) -> None:
        """Wait until two nodes in contact hold equally many bundles."""

        async def told() -> bool:
            return await self._held(one) == await self._held(other)

        await come_about(told, _WAIT_S_MAX)

    async def _until_told(self, name: str, condition: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the status of a node is so; nodes tell no event of a receipt they wrote."""

        async def told() -> bool:
            return condition(await self._status(name))

        await come_about(told, _WAIT_S_MAX)

    async def _held(self, name: str) -> int:
        return int((await self._status(name))["store"]["bundles"])

    async def _status(self, name: str) -> dict[str, Any]:
        async with self._stage.nodes[name].line() as api:
            return await api.status()

    async def _table(self) -> None:
        columns = ("message", "way", "its author knows", "shown on")
        self._report.table(columns, knowledge(self.witnesses.values()))
        boxes = [(name, await self._held(name)) for name in ("vehicule", "vedette")]
        words = [
            f"{name} carries {held} bundles and shows {len(self._of(name).shown)}"
            for name, held in boxes
        ]
        self._report.text(f"  {'; '.join(words)}")
