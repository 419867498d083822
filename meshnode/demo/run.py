"""One performance: homes, network and nodes are made, the story is played, the stores are read.

Whatever happens, the nodes are stopped and namespaces and homes removed; only homes of messages
that were lost are kept for whoever looks for the fault.
"""

from __future__ import annotations

import hashlib
import json
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import trio

from meshnode.client import open_api
from meshnode.demo.cast import BOAT, CAST, CENTRE, PLACES
from meshnode.demo.day import Day, DaySheet, day_of, read_day
from meshnode.demo.duty import DOCUMENT, SQUAD_DEVICES, Duty
from meshnode.demo.ledger import (
    Account,
    Haul,
    Landing,
    Sheet,
    duplicates,
    haul,
    landing,
    ledger,
    lost,
    read_sheet,
)
from meshnode.demo.network import Loopback, Network, NetworkError, open_network
from meshnode.demo.port import catch_notes
from meshnode.demo.report import Report
from meshnode.demo.secrecy import Trial, try_to_read
from meshnode.demo.stage import NodeFailedError, Stage, enrol_all
from meshnode.demo.story import BACKLOG, Story, notes
from meshnode.errors import ControlError
from meshnode.runtime import Runtime, system_runtime
from protocol.identity import Role

__all__ = ["Outcome", "outcome_of", "run_demo"]

_EXIT_LOST: Final = 1
_LOST_LINES_MAX: Final = 12
_EXIT_INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the stores say of a performance."""

    accounts: tuple[Account, ...]
    """Every message that was written."""
    lost: tuple[Account, ...]
    """Those that somebody lacks."""
    duplicates: int
    """Messages shown beyond once, in all inboxes."""
    trials: tuple[Trial, ...]
    """Attempts to read what is carried for others."""
    haul: Haul | None
    """How the boat's backlog came ashore."""
    port: Landing | None
    """What it brought at its second call."""
    day: Day
    """What is left of the squad's day."""

    @property
    def is_unreadable(self) -> bool:
        """True if relays carried something sealed, and nobody could read what is for others."""
        has_tried = any(trial.sealed for trial in self.trials)
        return has_tried and all(trial.is_blind for trial in self.trials)

    @property
    def is_good(self) -> bool:
        """True if nothing was lost, shown twice or readable, and the day ended as it should."""
        is_safe = not self.lost and not self.duplicates and self.is_unreadable
        return is_safe and self.day.is_good

    def as_json(self, seconds: float) -> dict[str, Any]:
        """Return the object that `meshnode demo --json` ends with."""
        return {
            "schema": 1,
            "sent": len(self.accounts),
            "delivered": len(self.accounts) - len(self.lost),
            "lost": len(self.lost),
            "duplicates": self.duplicates,
            "unreadable_at_relays": self.is_unreadable,
            "seconds": round(seconds, 2),
            "day": self.day.as_json(),
            "port": None if self.port is None else self.port.as_json(),
            "ledger": [account.as_json() for account in self.accounts],
        }


def outcome_of(
    sheets: list[Sheet], trials: list[Trial], day: Day, sent_before_bytes: int = 0
) -> Outcome:
    """Return what sheets and trials come to; `sent_before_bytes` went ashore at the first call."""
    accounts = ledger(sheets)
    by_name = {sheet.name: sheet for sheet in sheets}
    boat, centre = by_name[BOAT], by_name[CENTRE]
    return Outcome(
        tuple(accounts),
        tuple(lost(accounts)),
        duplicates(sheets),
        tuple(trials),
        haul(boat, centre, notes(BACKLOG), sent_before_bytes),
        landing(boat, centre, catch_notes(), sent_before_bytes),
        day,
    )


def run_demo(as_json: bool, keep: bool) -> int:
    """Play the demonstration; return the exit code.

    0 if everything arrived once and only where it may, 1 if not or if a node failed, 130 if it
    was interrupted. With `as_json` the story goes to stderr and stdout gets one JSON object; with
    `keep` the nodes run on until Ctrl-C.
    """
    return trio.run(_interruptible, as_json, keep)


async def _interruptible(as_json: bool, keep: bool) -> int:
    code = _EXIT_INTERRUPTED
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_when_told, signals, nursery.cancel_scope)
            try:
                code = await _perform(as_json, keep)
            except* (NodeFailedError, NetworkError, ControlError) as group:
                code = _EXIT_LOST
                # One node that ends disturbs many tasks at once: the first error tells it.
                sys.stderr.write(f"meshnode: {_first(group)}\n")
            nursery.cancel_scope.cancel()
    return code


async def _cancel_when_told(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()
        return


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


# --- the performance -----------------------------------------------------------------------------


async def _perform(as_json: bool, keep: bool) -> int:
    started_s = trio.current_time()

    def elapsed_s() -> float:
        return trio.current_time() - started_s

    report = Report(sys.stderr if as_json else sys.stdout, elapsed_s)
    runtime = system_runtime()
    async with _folder() as folder, _network() as network:
        report.text(f"Seven devices, seven processes, {network.words}.")
        # What people choose and type; here it is drawn, and gone with the homes.
        secret = runtime.entropy(16).hex()
        await enrol_all(folder, CAST, runtime, secret)
        stage = Stage(folder, CAST, network, secret)
        outcome = await _played(stage, report, runtime)
        _sum_up(report, outcome)
        if as_json:
            sys.stdout.write(json.dumps(outcome.as_json(elapsed_s()), ensure_ascii=False) + "\n")
            sys.stdout.flush()
        if keep:
            await _keep(stage, report)
        if not outcome.is_good:
            kept = f"{folder}.kept"
            folder.rename(kept)
            report.text(f"Something is wrong: see above. The homes are kept in {kept}.")
            return _EXIT_LOST
    return 0


@asynccontextmanager
async def _folder() -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="meshnode-demo-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@asynccontextmanager
async def _network() -> AsyncIterator[Network]:
    network = await open_network(CAST, PLACES)
    try:
        yield network
    finally:
        with trio.CancelScope(shield=True):
            await network.remove()


@asynccontextmanager
async def _contacts(stage: Stage) -> AsyncIterator[None]:
    """Keep contacts going where the network does not do it by itself."""
    async with trio.open_nursery() as nursery:
        if isinstance(stage.network, Loopback):
            nursery.start_soon(stage.network.run, stage.port_of)
        yield
        nursery.cancel_scope.cancel()


async def _played(stage: Stage, report: Report, runtime: Runtime) -> Outcome:
    story = Story(stage, report, runtime, BACKLOG)
    async with stage.running():
        report.text("All nodes run; nobody hears anybody yet.")
        async with _contacts(stage):
            await story.play()
            duty = Duty(stage, report, runtime)
            await duty.play()
    report.act("What the stores say, now that every node is stopped")
    sheets, days = await _read_all(stage, runtime)
    trials = [*story.trials, *await _try_all(stage, sheets, runtime)]
    sent = await trio.Path(stage.folder / DOCUMENT).read_bytes()
    digests = {hashlib.sha256(sent).hexdigest(), duty.port.digest}
    day = day_of(SQUAD_DEVICES, days, digests)
    return outcome_of(sheets, trials, day, duty.port.sent_before_bytes)


async def _read_all(stage: Stage, runtime: Runtime) -> tuple[list[Sheet], list[DaySheet]]:
    """Return what each store says of messages, and those of the squad and its centre of the day."""
    sheets: list[Sheet] = []
    days: list[DaySheet] = []
    for name, node in stage.nodes.items():
        async with open_api(node.home, runtime, secret=lambda: stage.secret) as api:
            sheets.append(await read_sheet(name, api))
            if name in (*SQUAD_DEVICES, CENTRE):
                days.append(await read_day(name, api, stage.folder))
    return sheets, days


async def _try_all(stage: Stage, sheets: list[Sheet], runtime: Runtime) -> list[Trial]:
    relays = {each.name for each in CAST if each.role is Role.RELAY}
    trials = []
    for name, node in stage.nodes.items():
        hidden = [
            written.text
            for sheet in sheets
            for written in sheet.written
            if sheet.name != name
            and name not in dict(written.recipients)
            # An SOS is for every device of the zone but relays.
            and (written.kind != "sos" or name in relays)
        ]
        trials.append(await try_to_read(name, node.home, hidden, runtime, stage.secret))
    return trials


def _trial_row(name: str, trials: Sequence[Trial]) -> tuple[str, str, str, str]:
    """Return the sums of all trials of a device; what it no longer holds was tried before."""
    own = [trial for trial in trials if trial.device == name]
    sums = (sum(getattr(trial, each) for trial in own) for each in ("sealed", "opened", "leaked"))
    sealed, opened, leaked = (str(each) for each in sums)
    return name, sealed, opened, leaked


def _sum_up(report: Report, outcome: Outcome) -> None:
    rows = [
        (each.written.text, f"{each.author} → {each.written.to}", each.written.state)
        for each in outcome.accounts
        if each.written.kind != "note"
    ]
    report.table(("message", "way", "its ledger ends in"), rows)
    report.table(
        ("device", "sealed bundles for others", "opened", "texts in clear"),
        [_trial_row(each.name, outcome.trials) for each in CAST],
    )
    report.text()
    for account in outcome.lost[:_LOST_LINES_MAX]:
        report.text(
            f"LOST: «{account.written.text}» of {account.author}, {account.written.state}; "
            f"missing at {', '.join(account.missing) or 'nobody'}"
        )
    sent, gone = len(outcome.accounts), len(outcome.lost)
    report.text(
        f"{sent} messages written, {sent - gone} delivered, {gone} lost, "
        f"{outcome.duplicates} shown twice; relays could read "
        f"{'nothing' if outcome.is_unreadable else 'SOMETHING'}."
    )
    if outcome.haul is not None:
        brought = outcome.haul
        report.text(
            f"The boat brought {brought.notes} notes ashore in {brought.seconds:.2f} s, in "
            f"{brought.bytes} bytes; the SOS, written last, overtook {brought.overtaken} of them."
        )
    if outcome.port is not None:
        called = outcome.port
        report.text(
            f"At its second call it brought {called.notes} notes, opened within "
            f"{called.seconds:.2f} s, and its box sent {called.bytes / 1e6:.1f} MB."
        )
    _sum_up_day(report, outcome.day)


def _sum_up_day(report: Report, day: Day) -> None:
    for device, file in day.received:
        report.text(f"{device} received {file.name}, {file.size_bytes / 1e6:.1f} MB: {file.state}.")
    report.text(f"{day.intact} of {len(day.received)} files have the bytes that were sent.")
    report.text(
        f"{day.alarms} alarms, {day.closed} closed for {', '.join(day.squad)} and the centre; "
        f"{day.positions} positions are left on the squad's devices, {day.archived} at the centre."
    )


async def _keep(stage: Stage, report: Report) -> None:
    """Run the nodes again, everybody in contact, until Ctrl-C."""
    async with stage.running(), _contacts(stage):
        report.text("\nThe nodes run again. Look around from another terminal:")
        for name in ("alice", CENTRE):
            for words in ("inbox", "outbox", "peers", "status", "board", "alarms", "files"):
                report.text(f"  meshnode --home {stage.nodes[name].home} {words}")
        report.text(f"  meshnode --home {stage.nodes['alice'].home} send codt 'Encore un mot'")
        report.text("Ctrl-C stops the nodes and removes everything.")
        await trio.sleep_forever()
