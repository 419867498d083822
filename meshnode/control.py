"""The control socket: commands to a running node, as lines of JSON over a private Unix socket.

A line `{"id": 1, "method": "send", "params": {…}}` is answered by `{"id": 1, "result": …}` or
`{"id": 1, "error": {"kind": …, "message": …}}`; `progress` and `follow` give `{"id": 1, "event":
…}` lines before. Only the owner of the home can open the socket. Source: decision 7.
"""

from __future__ import annotations

import errno
import inspect
import stat
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, Final

import trio

from meshnode.api import Api
from meshnode.errors import ControlError, HomeError
from meshnode.lines import Json, LineStream, reachable
from meshnode.runtime import Runtime
from protocol.errors import MeshError
from protocol.limits import CONTROL_CLIENTS_MAX

__all__ = ["serve_control"]

_METHODS: Final = frozenset(
    {
        "alarm",
        "alarm_close",
        "alarm_on_scene",
        "alarm_raise_anew",
        "alarm_seen",
        "alarm_take",
        "alarm_way",
        "alarms",
        "archive_export",
        "archive_found",
        "archive_held",
        "archive_key_export",
        "archive_key_import",
        "archive_report",
        "archive_search",
        "archive_status",
        "archive_verify",
        "audit",
        "audit_export",
        "audit_verify",
        "board",
        "budget",
        "cancel",
        "coverage",
        "export_documents",
        "export_file",
        "file",
        "file_cancel",
        "file_remove",
        "file_save",
        "file_view",
        "files",
        "holdings",
        "import_documents",
        "import_file",
        "inbox",
        "keys",
        "lock",
        "mark_read",
        "matrix",
        "message",
        "names",
        "orders",
        "outgoing",
        "peers",
        "position",
        "positions",
        "readiness",
        "resend",
        "retention",
        "retention_apply",
        "retention_log",
        "retention_verify",
        "send",
        "sensors",
        "sheet",
        "sheet_html",
        "sheet_retract",
        "sheets",
        "sheets_publish",
        "sheets_search",
        "shift",
        "shift_close",
        "shift_open",
        "state",
        "sos",
        "sos_by_secret",
        "status",
        "sync",
        "tak",
        "track",
        "unloading",
        "unlock",
        "verify_holdings",
        "uplink",
        "web_close",
        "web_open",
        "web_token_add",
        "web_token_revoke",
        "web_tokens",
        "wipe",
    }
)
_UNATTENDED: Final = frozenset(
    {
        "alarm_way",
        "board",
        "budget",
        "files",
        "follow",
        "inbox",
        "keys",
        "mark_read",
        "orders",
        "peers",
        "sheets",
        "status",
        "tak",
        "unloading",
        "uplink",
    }
)
"""What a screen that follows does by itself: it says nothing of somebody being there."""
_REQUEST_BYTES_MAX: Final = 262_144
"""A request holds one text of 16 kB, at most six times as long in JSON."""
_SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SHORTAGE_S: Final = 0.1


async def serve_control(
    path: Path,
    api: Api,
    runtime: Runtime,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve commands until cancelled; the caller holds the home's lock. Raises: HomeError."""
    limiter = trio.Semaphore(CONTROL_CLIENTS_MAX)
    listener = await _listen(path)
    try:
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                # Whoever comes while all places are taken waits outside, in the bounded backlog.
                await limiter.acquire()
                stream = await _accept(listener, runtime)
                nursery.start_soon(_serve_client, stream, api, runtime, limiter)
    finally:
        listener.socket.close()
        with suppress(FileNotFoundError):
            path.unlink()


async def _accept(listener: trio.SocketListener, runtime: Runtime) -> trio.SocketStream:
    """Return the next client; while the process has no file left, try again in a moment."""
    while True:
        try:
            return await listener.accept()
        except OSError as error:
            if error.errno not in _SHORTAGES:
                raise
            runtime.trace("control_short", reason=error.strerror)
            await trio.sleep(_SHORTAGE_S)


async def _listen(path: Path) -> trio.SocketListener:
    # What lies here is left over from a node that was killed: its lock is ours now.
    with suppress(FileNotFoundError):
        path.unlink()
    sock = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    try:
        async with reachable(path) as name:
            # The folder is private already; the mode says it again before anybody can connect.
            await sock.bind(name)
            path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        sock.listen(CONTROL_CLIENTS_MAX)
    except OSError as error:
        sock.close()
        raise HomeError(f"cannot listen on {path}: {error.strerror}") from error
    return trio.SocketListener(sock)


async def _serve_client(
    stream: trio.SocketStream, api: Api, runtime: Runtime, limiter: trio.Semaphore
) -> None:
    lines = LineStream(stream, _REQUEST_BYTES_MAX)
    is_first = True
    try:
        while (request := await lines.receive()) is not None:
            if _is_personal(request.get("method"), is_first=is_first):
                api.touch()
            is_first = False
            await _answer(lines, api, request)
    except ControlError as error:
        runtime.trace("control_ended", reason=error.kind)
    finally:
        with trio.CancelScope(shield=True):
            await lines.aclose()
        limiter.release()


def _is_personal(method: object, *, is_first: bool) -> bool:
    """Tell whether a request shows that somebody is there: `inbox` does when it is typed."""
    if not isinstance(method, str) or method not in _METHODS:
        return False
    return method not in _UNATTENDED or (method == "inbox" and is_first)


async def _answer(lines: LineStream, api: Api, request: Json) -> None:
    number, method = request.get("id"), request.get("method")
    params = request.get("params", {})
    try:
        if method == "follow":
            await _follow(lines, api, number)
            return
        if not isinstance(method, str) or method not in _METHODS or not isinstance(params, dict):
            raise ControlError("method", f"the node knows no command '{str(method)[:80]}'")
        call: Callable[..., Awaitable[Any]] = getattr(api, method)
        _check_params(method, call, params)
        result = await _called(lines, call, method, number, params)
    except MeshError as error:
        kind = error.kind if isinstance(error, ControlError) else type(error).__name__
        reason = getattr(error, "reason", "")
        told = {"kind": kind, "reason": str(reason), "message": str(error)}
        await lines.send({"id": number, "error": told})
        return
    # Whoever locked hears so, although the process may be about to end for it.
    with trio.CancelScope(shield=method == "lock"):
        await lines.send({"id": number, "result": result})


def _check_params(method: str, call: Callable[..., Awaitable[Any]], params: Json) -> None:
    """Raise ControlError (`params`) unless a call takes these values, by name and by type."""
    signature = inspect.signature(call)
    try:
        signature.bind(**params)
    except TypeError as error:
        raise ControlError("params", f"wrong parameters for '{method}': {error}") from error
    for name, value in params.items():
        is_right = _TYPES.get(str(signature.parameters[name].annotation), _is_nothing)
        if not is_right(value):
            raise ControlError("params", f"wrong value of '{name}' for '{method}'")


def _is_text(value: object) -> bool:
    # No path has a NUL, and no text needs one.
    return isinstance(value, str) and "\0" not in value


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_nothing(_value: object) -> bool:
    return False


_TYPES: Final[dict[str, Callable[[object], bool]]] = {
    "bool": lambda value: isinstance(value, bool),
    "float": _is_number,
    "float | None": lambda value: value is None or _is_number(value),
    "int": _is_whole,
    "int | None": lambda value: value is None or _is_whole(value),
    "str": _is_text,
    "str | None": lambda value: value is None or _is_text(value),
    "Sequence[str]": lambda value: isinstance(value, list) and all(map(_is_text, value)),
}
"""What a parameter with this annotation takes; one that stands not here is not for callers."""


async def _called(
    lines: LineStream, call: Callable[..., Awaitable[Any]], method: str, number: Any, params: Json
) -> Any:
    """Call the node; progress of a contact goes out as it comes, the newest first if it lags."""
    if method != "sync":
        return await call(**params)
    sender, receiver = trio.open_memory_channel[Json](1)

    def progress(counters: Json) -> None:
        with suppress(trio.WouldBlock):
            sender.send_nowait(counters)

    async def forward() -> None:
        # Whoever asked may be gone; the contact goes on all the same.
        with suppress(ControlError):
            async for counters in receiver:
                await lines.send({"id": number, "event": counters})

    failure: MeshError | None = None
    result: Any = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(forward)
        async with sender:
            try:
                result = await call(**params, progress=progress)
            except MeshError as error:
                # Raised behind the nursery, which would hand on a group of one.
                failure = error
    if failure is not None:
        raise failure
    return result


async def _follow(lines: LineStream, api: Api, number: Any) -> None:
    """Send events until the other end goes away, which a read notices at once."""
    async with trio.open_nursery() as nursery:

        async def until_gone() -> None:
            with suppress(ControlError):
                await lines.receive()
            nursery.cancel_scope.cancel()

        nursery.start_soon(until_gone)
        # A follower that goes away, or does not read, ends its own call and nothing else.
        with suppress(ControlError):
            async with aclosing(api.follow()) as events:
                async for event in events:
                    await lines.send({"id": number, "event": event})
        nursery.cancel_scope.cancel()
