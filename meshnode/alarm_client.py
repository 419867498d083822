"""The calls about alarms, answered by a running node."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from meshnode.lines import Json, Progress

__all__ = ["AlarmClient"]


class AlarmClient(ABC):
    """Those calls of `RemoteApi`."""

    @abstractmethod
    async def _call(
        self, method: str, progress: Progress | None = None, /, **params: object
    ) -> Any:
        """Return what the node answers; whoever has a line to it says how."""

    async def sos(self, text: str, *, to: str = "", at: str = "", tells_place: bool = True) -> Json:
        """See `Api.sos`."""
        found: Json = await self._call("sos", text=text, to=to, at=at, tells_place=tells_place)
        return found

    async def sos_by_secret(
        self, secret: str, text: str, *, to: str = "", at: str = "", tells_place: bool = True
    ) -> Json:
        """See `Api.sos_by_secret`."""
        found: Json = await self._call(
            "sos_by_secret", secret=secret, text=text, to=to, at=at, tells_place=tells_place
        )
        return found

    async def alarm_way(self, alarm: str) -> str:
        """See `Api.alarm_way`."""
        return str(await self._call("alarm_way", alarm=alarm))

    async def alarms(self) -> list[Json]:
        """See `Api.alarms`."""
        found: list[Json] = await self._call("alarms")
        return found

    async def alarm(self, alarm: str) -> Json:
        """See `Api.alarm`."""
        found: Json = await self._call("alarm", alarm=alarm)
        return found

    async def alarm_seen(self, alarm: str, *, is_shown: bool = False) -> bool:
        """See `Api.alarm_seen`."""
        return bool(await self._call("alarm_seen", alarm=alarm, is_shown=is_shown))

    async def alarm_take(self, alarm: str, text: str = "") -> bool:
        """See `Api.alarm_take`."""
        return bool(await self._call("alarm_take", alarm=alarm, text=text))

    async def alarm_on_scene(self, alarm: str, text: str = "") -> bool:
        """See `Api.alarm_on_scene`."""
        return bool(await self._call("alarm_on_scene", alarm=alarm, text=text))

    async def alarm_close(self, alarm: str, text: str = "", *, is_false: bool = False) -> Json:
        """See `Api.alarm_close`."""
        found: Json = await self._call("alarm_close", alarm=alarm, text=text, is_false=is_false)
        return found

    async def alarm_raise_anew(self, alarm: str, text: str = "") -> bool:
        """See `Api.alarm_raise_anew`."""
        return bool(await self._call("alarm_raise_anew", alarm=alarm, text=text))
