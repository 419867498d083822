"""The calls about a gateway's archive, answered by a running node."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meshnode.lines import Json, Progress

__all__ = ["ArchiveClient"]


class ArchiveClient(ABC):
    """Those calls of `RemoteApi`; paths go whole, since the node works in another folder."""

    @abstractmethod
    async def _call(
        self, method: str, progress: Progress | None = None, /, **params: object
    ) -> Any:
        """Return what the node answers; whoever has a line to it says how."""

    async def archive_found(self) -> bool:
        """See `Api.archive_found`."""
        return bool(await self._call("archive_found"))

    async def archive_status(self) -> Json:
        """See `Api.archive_status`."""
        found: Json = await self._call("archive_status")
        return found

    async def archive_search(
        self,
        text: str = "",
        author: str = "",
        to: str = "",
        classes: Sequence[str] = (),
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 100,
        *,
        bundles: bool = False,
    ) -> Json:
        """See `Api.archive_search`."""
        found: Json = await self._call(
            "archive_search",
            text=text,
            author=author,
            to=to,
            classes=list(classes),
            from_ms=from_ms,
            to_ms=to_ms,
            limit=limit,
            bundles=bundles,
        )
        return found

    async def archive_report(self, from_ms: int | None = None, to_ms: int | None = None) -> Json:
        """See `Api.archive_report`."""
        found: Json = await self._call("archive_report", from_ms=from_ms, to_ms=to_ms)
        return found

    async def archive_export(
        self, path: str, reason: str, author: str = "", from_ms: int = 0, to_ms: int = 0
    ) -> Json:
        """See `Api.archive_export`."""
        whole = _whole(path)
        found: Json = await self._call(
            "archive_export", path=whole, reason=reason, author=author, from_ms=from_ms, to_ms=to_ms
        )
        return found

    async def archive_verify(self, path: str) -> Json:
        """See `Api.archive_verify`."""
        found: Json = await self._call("archive_verify", path=_whole(path))
        return found

    async def archive_held(self, device: str, path: str = "") -> Json:
        """See `Api.archive_held`."""
        whole = _whole(path) if path else ""
        found: Json = await self._call("archive_held", device=device, path=whole)
        return found

    async def archive_key_export(self, path: str, to: str) -> Json:
        """See `Api.archive_key_export`."""
        whole = _whole(path)
        found: Json = await self._call("archive_key_export", path=whole, to=to)
        return found

    async def archive_key_import(self, path: str) -> Json:
        """See `Api.archive_key_import`."""
        found: Json = await self._call("archive_key_import", path=_whole(path))
        return found

    async def retention(self) -> Json:
        """See `Api.retention`."""
        found: Json = await self._call("retention")
        return found

    async def retention_log(self, last: int = 100) -> Json:
        """See `Api.retention_log`."""
        found: Json = await self._call("retention_log", last=last)
        return found

    async def retention_verify(self) -> Json:
        """See `Api.retention_verify`."""
        found: Json = await self._call("retention_verify")
        return found

    async def retention_apply(self) -> Json:
        """See `Api.retention_apply`."""
        found: Json = await self._call("retention_apply")
        return found


def _whole(path: str) -> str:
    return str(Path(path).absolute())
