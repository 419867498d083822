"""The node of a home for one command: the running one by its control socket, else opened here.

Both give the same calls, so a command neither knows nor cares which it is. Source: decision 7.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from meshnode.alarm_client import AlarmClient
from meshnode.archive_client import ArchiveClient
from meshnode.errors import ControlError, HomeBusyError
from meshnode.home import BUSY_S_MAX, BUSY_STEP_S, Home
from meshnode.lines import Json, LineStream, Progress, connect
from meshnode.node_api import NodeApi
from meshnode.runtime import Runtime

if TYPE_CHECKING:
    from meshnode.config import Settings

__all__ = ["NodeApi", "RemoteApi", "open_api"]


class RemoteApi(AlarmClient, ArchiveClient):
    """The calls, answered by a running node."""

    is_running = True

    def __init__(self, lines: LineStream) -> None:
        self._lines = lines
        self._numbers = count(1)

    async def _call(
        self, method: str, progress: Progress | None = None, /, **params: object
    ) -> Any:
        """Return the node's answer. Raises: ControlError with the kind of the node's error."""
        number = next(self._numbers)
        await self._lines.send({"id": number, "method": method, "params": params})
        while True:
            answer = await self._answer(number)
            if "event" not in answer:
                return answer.get("result")
            if progress is not None:
                progress(answer["event"])

    async def _answer(self, number: int) -> Json:
        answer = await self._lines.receive()
        if answer is None:
            raise ControlError("gone", "the running node went away before it answered")
        if answer.get("id") != number:
            raise ControlError("line", "the running node answered another question")
        if "error" in answer:
            error = answer["error"]
            raise ControlError(str(error["kind"]), str(error["message"]))
        return answer

    async def send(
        self,
        to: str,
        text: str,
        *,
        sos: bool = False,
        priority: str = "normal",
        lifetime_s: int | None = None,
        attach: str = "",
        keep_place: bool = False,
    ) -> Json:
        """See `Api.send`."""
        # The node works in another folder, so the path goes whole.
        whole = str(Path(attach).absolute()) if attach else ""
        more = {"attach": whole, "keep_place": keep_place} if attach else {}
        found: Json = await self._call(
            "send", to=to, text=text, sos=sos, priority=priority, lifetime_s=lifetime_s, **more
        )
        return found

    async def cancel(self, message: str) -> bool:
        """See `Api.cancel`."""
        return bool(await self._call("cancel", message=message))

    async def inbox(self, after: int = 0, limit: int = 100) -> list[Json]:
        """See `Api.inbox`."""
        found: list[Json] = await self._call("inbox", after=after, limit=limit)
        return found

    async def outgoing(self, after: int = 0, limit: int = 100) -> list[Json]:
        """See `Api.outgoing`."""
        found: list[Json] = await self._call("outgoing", after=after, limit=limit)
        return found

    async def mark_read(self, key: int) -> bool:
        """See `Api.mark_read`."""
        return bool(await self._call("mark_read", key=key))

    async def message(self, message: str) -> Json:
        """See `Api.message`."""
        found: Json = await self._call("message", message=message)
        return found

    async def resend(self, message: str, to: str = "") -> Json:
        """See `Api.resend`."""
        found: Json = await self._call("resend", message=message, to=to)
        return found

    async def matrix(self, to: str, last: int = 5) -> Json:
        """See `Api.matrix`."""
        found: Json = await self._call("matrix", to=to, last=last)
        return found

    async def files(self) -> list[Json]:
        """See `Api.files`."""
        found: list[Json] = await self._call("files")
        return found

    async def file(self, file: str) -> Json:
        """See `Api.file`."""
        found: Json = await self._call("file", file=file)
        return found

    async def file_save(self, file: str, path: str) -> Json:
        """See `Api.file_save`; the path goes whole."""
        whole = str(Path(path).absolute())
        found: Json = await self._call("file_save", file=file, path=whole)
        return found

    async def file_cancel(self, file: str) -> bool:
        """See `Api.file_cancel`."""
        return bool(await self._call("file_cancel", file=file))

    async def file_remove(self, file: str) -> bool:
        """See `Api.file_remove`."""
        return bool(await self._call("file_remove", file=file))

    async def file_view(self, file: str, path: str = "", language: str = "fr") -> Json:
        """See `Api.file_view`; the path goes whole."""
        whole = str(Path(path).absolute()) if path else ""
        found: Json = await self._call("file_view", file=file, path=whole, language=language)
        return found

    async def sheets(self) -> Json:
        """See `Api.sheets`."""
        found: Json = await self._call("sheets")
        return found

    async def sheets_search(self, words: str) -> list[Json]:
        """See `Api.sheets_search`."""
        found: list[Json] = await self._call("sheets_search", words=words)
        return found

    async def sheet(self, name: str) -> Json:
        """See `Api.sheet`."""
        found: Json = await self._call("sheet", name=name)
        return found

    async def sheet_html(self, name: str, path: str, language: str = "fr") -> Json:
        """See `Api.sheet_html`; the path goes whole."""
        whole = str(Path(path).absolute())
        found: Json = await self._call("sheet_html", name=name, path=whole, language=language)
        return found

    async def sheets_publish(self, folder: str) -> Json:
        """See `Api.sheets_publish`; the path goes whole."""
        found: Json = await self._call("sheets_publish", folder=str(Path(folder).absolute()))
        return found

    async def sheet_retract(self, name: str) -> Json:
        """See `Api.sheet_retract`."""
        found: Json = await self._call("sheet_retract", name=name)
        return found

    async def shift_open(self, hours: int = 12) -> Json:
        """See `Api.shift_open`."""
        found: Json = await self._call("shift_open", hours=hours)
        return found

    async def shift_close(self) -> Json:
        """See `Api.shift_close`."""
        found: Json = await self._call("shift_close")
        return found

    async def shift(self) -> Json:
        """See `Api.shift`."""
        found: Json = await self._call("shift")
        return found

    async def position(self, latitude: float, longitude: float, *, accuracy_m: float = 0.0) -> Json:
        """See `Api.position`."""
        found: Json = await self._call(
            "position", latitude=latitude, longitude=longitude, accuracy_m=accuracy_m
        )
        return found

    async def positions(self) -> list[Json]:
        """See `Api.positions`."""
        found: list[Json] = await self._call("positions")
        return found

    async def tak(self) -> Json:
        """See `Api.tak`."""
        found: Json = await self._call("tak")
        return found

    async def uplink(self) -> Json:
        """See `Api.uplink`."""
        found: Json = await self._call("uplink")
        return found

    async def coverage(
        self,
        at: str = "",
        course_deg: float | None = None,
        part: str = "",
        reach_km: float = 20.0,
        limit: int = 200,
    ) -> Json:
        """See `Api.coverage`."""
        asked = {"at": at, "course_deg": course_deg, "part": part}
        found: Json = await self._call("coverage", **asked, reach_km=reach_km, limit=limit)
        return found

    async def budget(self) -> list[Json]:
        """See `Api.budget`."""
        found: list[Json] = await self._call("budget")
        return found

    async def sensors(self, *, show_position: bool = False) -> list[Json]:
        """See `Api.sensors`."""
        found: list[Json] = await self._call("sensors", show_position=show_position)
        return found

    async def state(
        self,
        *,
        battery_pct: float | None = None,
        is_charging: bool = False,
        network: str | None = None,
        signal_pct: float | None = None,
        signal_dbm: int | None = None,
        operator: str = "",
    ) -> Json:
        """See `Api.state`."""
        found: Json = await self._call(
            "state",
            battery_pct=battery_pct,
            is_charging=is_charging,
            network=network,
            signal_pct=signal_pct,
            signal_dbm=signal_dbm,
            operator=operator,
        )
        return found

    async def board(self) -> Json:
        """See `Api.board`."""
        found: Json = await self._call("board")
        return found

    async def unloading(self) -> Json:
        """See `Api.unloading`."""
        found: Json = await self._call("unloading")
        return found

    async def track(self, who: str, since_ms: int = 0) -> Json:
        """See `Api.track`."""
        found: Json = await self._call("track", who=who, since_ms=since_ms)
        return found

    async def peers(self) -> list[Json]:
        """See `Api.peers`."""
        found: list[Json] = await self._call("peers")
        return found

    async def status(self) -> Json:
        """See `Api.status`."""
        found: Json = await self._call("status")
        return found

    async def holdings(self, *, signed: bool = False) -> Json:
        """See `Api.holdings`."""
        found: Json = await self._call("holdings", signed=signed)
        return found

    async def verify_holdings(self, path: str) -> Json:
        """See `Api.verify_holdings`; the node works in another folder, so the path goes whole."""
        whole = str(Path(path).absolute())
        found: Json = await self._call("verify_holdings", path=whole)
        return found

    async def orders(self) -> list[Json]:
        """See `Api.orders`."""
        found: list[Json] = await self._call("orders")
        return found

    async def lock(self) -> bool:
        """See `Api.lock`."""
        return bool(await self._call("lock"))

    async def unlock(self, secret: str) -> bool:
        """See `Api.unlock`."""
        return bool(await self._call("unlock", secret=secret))

    async def wipe(self, level: str) -> None:
        """See `Api.wipe`."""
        await self._call("wipe", level=level)

    async def keys(self) -> Json:
        """See `Api.keys`."""
        found: Json = await self._call("keys")
        return found

    async def readiness(self) -> Json:
        """See `Api.readiness`."""
        found: Json = await self._call("readiness")
        return found

    async def sync(self, address: str, progress: Progress | None = None) -> Json:
        """See `Api.sync`."""
        found: Json = await self._call("sync", progress, address=address)
        return found

    async def export_file(self, path: str, to: Sequence[str] = ()) -> Json:
        """See `Api.export_file`; the node works in another folder, so the path goes whole."""
        found: Json = await self._call("export_file", path=str(Path(path).absolute()), to=list(to))
        return found

    async def import_file(self, path: str) -> Json:
        """See `Api.import_file`."""
        found: Json = await self._call("import_file", path=str(Path(path).absolute()))
        return found

    async def audit(self, limit: int = 100) -> Json:
        """See `Api.audit`."""
        found: Json = await self._call("audit", limit=limit)
        return found

    async def audit_verify(self, path: str = "") -> Json:
        """See `Api.audit_verify`; the node works in another folder, so the path goes whole."""
        whole = str(Path(path).absolute()) if path else ""
        found: Json = await self._call("audit_verify", path=whole)
        return found

    async def audit_export(self, path: str, to: Sequence[str] = ()) -> Json:
        """See `Api.audit_export`; the path goes whole."""
        whole = str(Path(path).absolute())
        found: Json = await self._call("audit_export", path=whole, to=list(to))
        return found

    async def names(self) -> Json:
        """See `Api.names`."""
        found: Json = await self._call("names")
        return found

    async def web_open(self) -> Json:
        """See `Api.web_open`."""
        found: Json = await self._call("web_open")
        return found

    async def web_close(self) -> int:
        """See `Api.web_close`."""
        found: int = await self._call("web_close")
        return found

    async def web_token_add(self, name: str, role: str, days: int = 365) -> Json:
        """See `Api.web_token_add`."""
        found: Json = await self._call("web_token_add", name=name, role=role, days=days)
        return found

    async def web_tokens(self) -> list[Json]:
        """See `Api.web_tokens`."""
        found: list[Json] = await self._call("web_tokens")
        return found

    async def web_token_revoke(self, name: str) -> bool:
        """See `Api.web_token_revoke`."""
        found: bool = await self._call("web_token_revoke", name=name)
        return found

    async def export_documents(self, path: str) -> Json:
        """See `Api.export_documents`."""
        found: Json = await self._call("export_documents", path=str(Path(path).absolute()))
        return found

    async def import_documents(self, path: str) -> Json:
        """See `Api.import_documents`."""
        found: Json = await self._call("import_documents", path=str(Path(path).absolute()))
        return found

    async def follow(self) -> AsyncGenerator[Json, None]:
        """See `Api.follow`."""
        number = next(self._numbers)
        await self._lines.send({"id": number, "method": "follow"})
        while True:
            yield (await self._answer(number))["event"]


@asynccontextmanager
async def open_api(
    home: Path,
    runtime: Runtime,
    settings: Settings | None = None,
    secret: Callable[[], str | None] | None = None,
) -> AsyncIterator[NodeApi]:
    """Give the calls of the node in `home`, running or not.

    `secret` gives the agent's secret; it is asked where no node runs and the device needs one.
    Raises: HomeBusyError if another command keeps it busy; HomeError, ConfigError,
    EnrolmentError, StoreError, KeystoreError.
    """
    deadline_s = trio.current_time() + BUSY_S_MAX
    async with AsyncExitStack() as stack:
        while True:
            lines = await connect(Home(home).control_socket)
            if lines is not None:
                stack.push_async_callback(_close, lines)
                yield RemoteApi(lines)
                return
            try:
                local = await stack.enter_async_context(_opened(home, runtime, settings, secret))
            except HomeBusyError:
                if trio.current_time() > deadline_s:
                    raise
                await trio.sleep(BUSY_STEP_S)
                continue
            yield local
            return


@asynccontextmanager
async def _opened(
    home: Path,
    runtime: Runtime,
    settings: Settings | None,
    secret: Callable[[], str | None] | None,
) -> AsyncIterator[NodeApi]:
    """Give the calls over the node of `home`, which nobody has open."""
    # Imported here: a command that talks to a running node needs no store and no links, which
    # take longer to load than the node takes to answer.
    from meshnode.config import load_settings
    from meshnode.local_api import LocalApi
    from meshnode.running import Access, open_guarded

    access = Access() if secret is None else Access(secret)
    chosen = load_settings(home) if settings is None else settings
    async with open_guarded(home, chosen, runtime, access) as guard:
        yield LocalApi(guard.node, guard)


async def _close(lines: LineStream) -> None:
    with trio.CancelScope(shield=True):
        await lines.aclose()
