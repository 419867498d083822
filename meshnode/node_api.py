"""The calls that a command may make of a node, whoever answers them. See `Api`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from meshnode.lines import Json, Progress

__all__ = ["NodeApi"]


class NodeApi(Protocol):
    """The calls that a command may make. See `Api`."""

    is_running: bool
    """True where a running node answers."""

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
        ...

    async def cancel(self, message: str) -> bool:
        """See `Api.cancel`."""
        ...

    async def inbox(self, after: int = 0, limit: int = 100) -> list[Json]:
        """See `Api.inbox`."""
        ...

    async def outgoing(self, after: int = 0, limit: int = 100) -> list[Json]:
        """See `Api.outgoing`."""
        ...

    async def mark_read(self, key: int) -> bool:
        """See `Api.mark_read`."""
        ...

    async def message(self, message: str) -> Json:
        """See `Api.message`."""
        ...

    async def resend(self, message: str, to: str = "") -> Json:
        """See `Api.resend`."""
        ...

    async def matrix(self, to: str, last: int = 5) -> Json:
        """See `Api.matrix`."""

    async def files(self) -> list[Json]:
        """See `Api.files`."""
        ...

    async def file(self, file: str) -> Json:
        """See `Api.file`."""
        ...

    async def file_save(self, file: str, path: str) -> Json:
        """See `Api.file_save`."""
        ...

    async def file_cancel(self, file: str) -> bool:
        """See `Api.file_cancel`."""
        ...

    async def file_remove(self, file: str) -> bool:
        """See `Api.file_remove`."""
        ...

    async def file_view(self, file: str, path: str = "", language: str = "fr") -> Json:
        """See `Api.file_view`."""
        ...

    async def sheets(self) -> Json:
        """See `Api.sheets`."""
        ...

    async def sheets_search(self, words: str) -> list[Json]:
        """See `Api.sheets_search`."""
        ...

    async def sheet(self, name: str) -> Json:
        """See `Api.sheet`."""
        ...

    async def sheet_html(self, name: str, path: str, language: str = "fr") -> Json:
        """See `Api.sheet_html`."""
        ...

    async def sheets_publish(self, folder: str) -> Json:
        """See `Api.sheets_publish`."""
        ...

    async def sheet_retract(self, name: str) -> Json:
        """See `Api.sheet_retract`."""
        ...

    async def shift_open(self, hours: int = 12) -> Json:
        """See `Api.shift_open`."""
        ...

    async def shift_close(self) -> Json:
        """See `Api.shift_close`."""
        ...

    async def shift(self) -> Json:
        """See `Api.shift`."""
        ...

    async def position(self, latitude: float, longitude: float, *, accuracy_m: float = 0.0) -> Json:
        """See `Api.position`."""
        ...

    async def positions(self) -> list[Json]:
        """See `Api.positions`."""
        ...

    async def tak(self) -> Json:
        """See `Api.tak`."""
        ...

    async def uplink(self) -> Json:
        """See `Api.uplink`."""
        ...

    async def coverage(
        self,
        at: str = "",
        course_deg: float | None = None,
        part: str = "",
        reach_km: float = 20.0,
        limit: int = 200,
    ) -> Json:
        """See `Api.coverage`."""
        ...

    async def budget(self) -> list[Json]:
        """See `Api.budget`."""
        ...

    async def sensors(self, *, show_position: bool = False) -> list[Json]:
        """See `Api.sensors`."""
        ...

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
        ...

    async def board(self) -> Json:
        """See `Api.board`."""
        ...

    async def unloading(self) -> Json:
        """See `Api.unloading`."""
        ...

    async def track(self, who: str, since_ms: int = 0) -> Json:
        """See `Api.track`."""

    async def sos(self, text: str, *, to: str = "", at: str = "", tells_place: bool = True) -> Json:
        """See `Api.sos`."""
        ...

    async def sos_by_secret(
        self, secret: str, text: str, *, to: str = "", at: str = "", tells_place: bool = True
    ) -> Json:
        """See `Api.sos_by_secret`."""
        ...

    async def alarm_way(self, alarm: str) -> str:
        """See `Api.alarm_way`."""
        ...

    async def alarms(self) -> list[Json]:
        """See `Api.alarms`."""
        ...

    async def alarm(self, alarm: str) -> Json:
        """See `Api.alarm`."""
        ...

    async def alarm_seen(self, alarm: str, *, is_shown: bool = False) -> bool:
        """See `Api.alarm_seen`."""
        ...

    async def alarm_take(self, alarm: str, text: str = "") -> bool:
        """See `Api.alarm_take`."""
        ...

    async def alarm_on_scene(self, alarm: str, text: str = "") -> bool:
        """See `Api.alarm_on_scene`."""
        ...

    async def alarm_close(self, alarm: str, text: str = "", *, is_false: bool = False) -> Json:
        """See `Api.alarm_close`."""
        ...

    async def alarm_raise_anew(self, alarm: str, text: str = "") -> bool:
        """See `Api.alarm_raise_anew`."""
        ...

    async def peers(self) -> list[Json]:
        """See `Api.peers`."""
        ...

    async def status(self) -> Json:
        """See `Api.status`."""
        ...

    async def holdings(self, *, signed: bool = False) -> Json:
        """See `Api.holdings`."""
        ...

    async def verify_holdings(self, path: str) -> Json:
        """See `Api.verify_holdings`."""
        ...

    async def orders(self) -> list[Json]:
        """See `Api.orders`."""
        ...

    async def lock(self) -> bool:
        """See `Api.lock`."""
        ...

    async def unlock(self, secret: str) -> bool:
        """See `Api.unlock`."""
        ...

    async def wipe(self, level: str) -> None:
        """See `Api.wipe`."""
        ...

    async def keys(self) -> Json:
        """See `Api.keys`."""
        ...

    async def readiness(self) -> Json:
        """See `Api.readiness`."""
        ...

    async def sync(self, address: str, progress: Progress | None = None) -> Json:
        """See `Api.sync`."""
        ...

    async def export_file(self, path: str, to: Sequence[str] = ()) -> Json:
        """See `Api.export_file`."""
        ...

    async def import_file(self, path: str) -> Json:
        """See `Api.import_file`."""
        ...

    async def audit(self, limit: int = 100) -> Json:
        """See `Api.audit`."""
        ...

    async def audit_verify(self, path: str = "") -> Json:
        """See `Api.audit_verify`."""
        ...

    async def audit_export(self, path: str, to: Sequence[str] = ()) -> Json:
        """See `Api.audit_export`."""
        ...

    async def names(self) -> Json:
        """See `Api.names`."""
        ...

    async def web_open(self) -> Json:
        """See `Api.web_open`."""
        ...

    async def web_close(self) -> int:
        """See `Api.web_close`."""
        ...

    async def web_token_add(self, name: str, role: str, days: int = 365) -> Json:
        """See `Api.web_token_add`."""
        ...

    async def web_tokens(self) -> list[Json]:
        """See `Api.web_tokens`."""
        ...

    async def web_token_revoke(self, name: str) -> bool:
        """See `Api.web_token_revoke`."""
        ...

    async def export_documents(self, path: str) -> Json:
        """See `Api.export_documents`."""
        ...

    async def import_documents(self, path: str) -> Json:
        """See `Api.import_documents`."""
        ...

    def follow(self) -> AsyncIterator[Json]:
        """See `Api.follow`; only a running node has anything to tell."""
        ...

    async def archive_found(self) -> bool:
        """See `Api.archive_found`."""
        ...

    async def archive_status(self) -> Json:
        """See `Api.archive_status`."""
        ...

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
        ...

    async def archive_report(self, from_ms: int | None = None, to_ms: int | None = None) -> Json:
        """See `Api.archive_report`."""
        ...

    async def archive_export(
        self, path: str, reason: str, author: str = "", from_ms: int = 0, to_ms: int = 0
    ) -> Json:
        """See `Api.archive_export`."""
        ...

    async def archive_verify(self, path: str) -> Json:
        """See `Api.archive_verify`."""
        ...

    async def archive_held(self, device: str, path: str = "") -> Json:
        """See `Api.archive_held`."""
        ...

    async def archive_key_export(self, path: str, to: str) -> Json:
        """See `Api.archive_key_export`."""
        ...

    async def archive_key_import(self, path: str) -> Json:
        """See `Api.archive_key_import`."""
        ...

    async def retention(self) -> Json:
        """See `Api.retention`."""
        ...

    async def retention_log(self, last: int = 100) -> Json:
        """See `Api.retention_log`."""
        ...

    async def retention_verify(self) -> Json:
        """See `Api.retention_verify`."""
        ...

    async def retention_apply(self) -> Json:
        """See `Api.retention_apply`."""
        ...
