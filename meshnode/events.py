"""What screens and programs may watch: a bounded broadcast of things that have been committed.

An event is published after its transaction. A subscriber that does not keep up loses the oldest
events and is told how many; nothing in the node depends on an event arriving. Source: STYLE 24.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

import trio

from protocol.ids import BundleId, NodeId

__all__ = [
    "AlarmChanged",
    "BundlesStored",
    "DiskChanged",
    "DocumentsChanged",
    "Equivocated",
    "Event",
    "Events",
    "LockChanged",
    "MessageArrived",
    "MessageChanged",
    "PeerDown",
    "PeerUp",
    "Subscription",
]

_EVENTS_MAX: Final = 1_024
"""Events one subscriber may lag behind."""


@dataclass(frozen=True, slots=True)
class AlarmChanged:
    """An alarm of the zone was raised, or somebody took a step of it."""

    raiser: NodeId
    """Whose alarm."""
    alarm_id: bytes
    """8 bytes; with the raiser its name."""
    step: int
    """The step that came; see `protocol.alarms.Step`."""
    who: NodeId
    """Who took it."""
    is_new: bool
    """True once for each alarm, and once for each time that it is raised anew: ring."""


@dataclass(frozen=True, slots=True)
class BundlesStored:
    """Bundles came into the store."""

    count: int
    """How many."""
    source: NodeId | None
    """The peer they came from; None where they were made or imported here."""


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """A message was opened for people of this device."""

    key: int
    """Its local number in the store."""
    message: BundleId
    """Its identity."""


@dataclass(frozen=True, slots=True)
class MessageChanged:
    """The ledger of an outgoing message has a new line."""

    key: int
    """Its local number in the store."""


@dataclass(frozen=True, slots=True)
class PeerUp:
    """A session with a peer began."""

    node: NodeId
    """Who."""
    remote: str
    """Where, for people."""


@dataclass(frozen=True, slots=True)
class PeerDown:
    """The session with a peer ended."""

    node: NodeId
    """Who."""


@dataclass(frozen=True, slots=True)
class DocumentsChanged:
    """Authority documents came into force."""

    count: int
    """How many."""


@dataclass(frozen=True, slots=True)
class Equivocated:
    """Somebody signed two things under one name: a device was cloned, or lies."""

    node: NodeId
    """Who."""
    bundle: BundleId
    """The name that both bear."""


@dataclass(frozen=True, slots=True)
class LockChanged:
    """The agent's keys opened or locked."""

    is_locked: bool
    """True if they are locked now."""


@dataclass(frozen=True, slots=True)
class DiskChanged:
    """The disk of this device takes nothing that is written, or takes it again."""

    fault: str
    """Why it takes nothing, in English; empty where it takes what comes again."""


@dataclass(frozen=True, slots=True)
class ArchiveGrew:
    """Another gateway put something into the archive that both share."""

    gateway: NodeId
    """Which one."""
    bundles: int
    """Bundles that were new."""
    contents: int
    """Contents that were new."""


Event: TypeAlias = (
    AlarmChanged
    | ArchiveGrew
    | BundlesStored
    | DiskChanged
    | MessageArrived
    | MessageChanged
    | PeerUp
    | PeerDown
    | DocumentsChanged
    | Equivocated
    | LockChanged
)


class Subscription:
    """One reader's view of the broadcast."""

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque(maxlen=_EVENTS_MAX)
        self._has_some = trio.Event()
        self.lost = 0
        """Events that were dropped because this reader was too slow."""

    def put(self, event: Event) -> None:
        """Queue an event; the oldest goes where there is no room."""
        if len(self._waiting) == _EVENTS_MAX:
            self.lost += 1
        self._waiting.append(event)
        self._has_some.set()

    async def next(self) -> Event:
        """Return the next event, waiting for it."""
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            self._has_some = trio.Event()
            await self._has_some.wait()
        return self._waiting.popleft()


class Events:
    """The broadcast of one node."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []

    def publish(self, event: Event) -> None:
        """Tell every subscriber; call it after the commit, on the trio thread."""
        for subscription in self._subscriptions:
            subscription.put(event)

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """Watch from now on, until the block is left."""
        subscription = Subscription()
        self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)
