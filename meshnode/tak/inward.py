"""What the mesh takes from a TAK server: lines of chat as messages, alerts as SOS, if it may.

Each kind is taken only where `accept` names it, and only so much of it an hour: whoever is on the
server can write there, and the mesh has few bytes.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Set
from typing import Final

import trio

from meshnode.api import Api
from meshnode.config import TakSettings
from meshnode.directory import UnknownNameError
from meshnode.errors import LockedError, SendError, StoreError
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.tak.cot import ALL_ROOMS, NAME_MAX, Chat
from meshnode.tak.ledger import TakLedger
from meshnode.tak.taking import ForeignAlert, alert_text, chat_text
from protocol.errors import MeshError
from protocol.guards import QUOTA_HOUR_SOS
from protocol.limits import TEXT_BYTES_MAX

__all__ = ["ALERTS_PER_HOUR", "LINES_PER_HOUR", "Inward"]

LINES_PER_HOUR: Final = 120
ALERTS_PER_HOUR: Final = 4
"""Each is up to three bundles with its end: half of what this device may sign of SOS in an hour
stays with the people at it, whatever strangers send."""
_HOUR_S: Final = 3_600.0
_LINE_BYTES_MAX: Final = 2_000
"""Of one line; a squad reads it on a phone, and a radio carries it."""
_SEEN_MAX: Final = 1_000
_READ: Final = "read"
_DELIVERED: Final = "delivered"


class Inward:
    """Turns what partners wrote into messages and alarms of this node."""

    def __init__(
        self,
        api: Api,
        settings: TakSettings,
        ledger: TakLedger,
        metrics: Metrics,
        runtime: Runtime,
    ) -> None:
        assert _LINE_BYTES_MAX < TEXT_BYTES_MAX, "a line fits into a message"
        assert 3 * ALERTS_PER_HOUR <= QUOTA_HOUR_SOS // 2, "people raise and answer SOS as well"
        self._api = api
        self._settings = settings
        self._ledger = ledger
        self._metrics = metrics
        self._runtime = runtime
        # A server may send a line again after each connection.
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._lines_s: deque[float] = deque()
        self._alerts_s: deque[float] = deque()

    async def take(self, taken: Chat | ForeignAlert) -> bool:
        """Take a line or an alert; True if the mesh has it now."""
        kind = "chat" if isinstance(taken, Chat) else "sos"
        if kind not in self._settings.accept:
            self._metrics.count("tak_events_ignored")
            return False
        try:
            if isinstance(taken, Chat):
                is_taken = await self._take_chat(taken)
            elif taken.is_over:
                is_taken = await self._end_alert(taken)
            else:
                is_taken = await self._take_alert(taken)
        except (LockedError, SendError, StoreError, UnknownNameError) as error:
            return self._refuse(error)
        self._metrics.count("tak_events_taken" if is_taken else "tak_events_ignored")
        return is_taken

    def _refuse(self, error: MeshError | None, reason: str = "") -> bool:
        self._metrics.count("tak_events_refused")
        self._runtime.trace("tak_event_refused", reason=reason or type(error).__name__)
        return False

    async def _take_chat(self, chat: Chat) -> bool:
        """Raises: LockedError, SendError, StoreError, UnknownNameError."""
        if max(map(len, (chat.room, chat.sender, chat.sender_uid, chat.message))) > NAME_MAX:
            # They are kept until the line was read: longer ones would fill the ledger.
            return self._refuse(None, "too long")
        key = f"{chat.sender_uid} {chat.message}"
        to = self._scope(chat.room)
        if not to or key in self._seen or self._is_known(chat):
            return False
        text = chat_text(chat)
        if len(text.encode()) > _LINE_BYTES_MAX:
            return self._refuse(None, "too long")
        if not self._has_room(self._lines_s, LINES_PER_HOUR):
            return self._refuse(None, "too many")
        sent = await self._api.send(to, text)
        self._remember(key)
        self._ledger.note_line(sent["message"], sent["key"], chat)
        return True

    def _is_known(self, chat: Chat) -> bool:
        """True for a line that was taken before this process started."""
        name = (chat.sender_uid, chat.message)
        return any((each.sender_uid, each.line) == name for each in self._ledger.lines.values())

    def _scope(self, room: str) -> str:
        """Return to whom a line of a room goes: its squad if it is named so, else `chat_to`."""
        squads = {name.casefold(): name for name in self._settings.squads}
        if room != ALL_ROOMS and room.casefold() in squads:
            return f"squad:{squads[room.casefold()]}"
        return self._settings.chat_to

    async def _take_alert(self, alert: ForeignAlert) -> bool:
        """Raises: LockedError, SendError, StoreError, UnknownNameError."""
        if alert.uid in self._ledger.raised:
            return False
        if not self._has_room(self._alerts_s, ALERTS_PER_HOUR):
            return self._refuse(None, "too many")
        point = alert.point
        at = f"{point.latitude:.6f},{point.longitude:.6f}" if point.is_known else ""
        raised = await self._api.sos(alert_text(alert), at=at, tells_place=bool(at))
        self._ledger.raised[alert.uid] = raised["alarm"]
        return True

    async def _end_alert(self, alert: ForeignAlert) -> bool:
        """Raises: LockedError, SendError, StoreError, UnknownNameError."""
        name = self._ledger.raised.get(alert.uid)
        if name is None:
            return False
        await self._api.alarm_close(name, "TAK")
        del self._ledger.raised[alert.uid]
        return True

    def _has_room(self, times_s: deque[float], most: int) -> bool:
        now_s = trio.current_time()
        while times_s and now_s - times_s[0] >= _HOUR_S:
            times_s.popleft()
        if len(times_s) >= most:
            return False
        times_s.append(now_s)
        return True

    def _remember(self, key: str) -> None:
        self._seen[key] = None
        if len(self._seen) > _SEEN_MAX:
            self._seen.popitem(last=False)

    async def news(self, changed: Set[int] | None) -> list[tuple[str, str]]:
        """Return messages of partners that went further than was told: delivered, or read.

        `changed` are the keys of messages that may have; None looks at all of them.
        Raises: LockedError, StoreError.
        """
        found = list[tuple[str, str]]()
        for message, line in list(self._ledger.lines.items()):
            if line.state == _READ or not (changed is None or line.key in changed):
                continue
            try:
                story = await self._api.message(message)
            except SendError:
                # It was purged meanwhile: nothing more will become of it.
                del self._ledger.lines[message]
                continue
            if (state := _state(story)) and state != line.state:
                found.append((message, state))
        return found


def _state(story: dict[str, object]) -> str:
    """Return `read` where everybody read it, `delivered` where it is on every device."""
    recipients = story["recipients"]
    assert isinstance(recipients, list), "the service interface gives a list"
    states = {each["state"] for each in recipients}
    if states and states <= {_READ}:
        return _READ
    return _DELIVERED if story["state"] == _DELIVERED else ""
