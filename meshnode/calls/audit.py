"""The calls about the audit log, in plain values; `Api` has them beside its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from meshnode.calls.base import Calls, Json
from meshnode.store import keyring
from protocol.errors import EnvelopeError, RemoteProtocolError
from protocol.guards import AUDIT_ROWS_MAX
from protocol.ids import NodeId

__all__ = ["AuditCalls"]


class AuditCalls(Calls):
    """What people may ask of the audit log."""

    async def audit(self, limit: int = 100) -> Json:
        """Return the newest entries of the audit log, and who was caught saying two things."""
        shown = await self._node.auditing.show(max(0, min(limit, AUDIT_ROWS_MAX)))
        return {
            "first": shown.base.number + 1,
            "last": shown.head.number,
            "hash": shown.head.hash.hex(),
            "entries": [
                {
                    "number": each.number,
                    "at_ms": each.at_ms,
                    "event": each.event,
                    **(self._who(NodeId(each.node)) if each.node else {"name": "", "node": ""}),
                    "count": each.count,
                }
                for each in shown.entries
            ],
            "evidence": [
                {"at_ms": each.at_ms, "signer": each.node.hex(), "subject": each.subject}
                for each in shown.evidence
            ],
        }

    async def audit_verify(self, path: str = "") -> Json:
        """Check the log of this device, or one that was exported for it.

        Raises: TamperedError where it was cut or changed; NoKeyError, MalformedError, StickError.
        """
        auditing, node = self._node.auditing, self._node
        try:
            if path:
                found = await auditing.verify_file(Path(path), keyring.own_prekey, node.sealer)
            else:
                found = await auditing.verify()
        except (EnvelopeError, RemoteProtocolError) as error:
            node.metrics.count("logs_refused")
            node.runtime.trace("log_refused", reason=type(error).__name__)
            await node.audit.flush()
            raise
        known = found.known
        return {
            **self._who(found.node),
            "entries": found.entries,
            "last": found.head.number,
            "hash": found.head.hash.hex(),
            "known_last": 0 if known is None else known.number,
        }

    async def audit_export(self, path: str, to: Sequence[str] = ()) -> Json:
        """Write the log for the devices named, or for the centre's. Raises: StickError."""
        recipients = await self._readers_of(to or ["codt"])
        entries = await self._node.auditing.export(Path(path), recipients, self._node.sealer)
        names = self._node.membership.directory.name_of
        readers = sorted(names(node) for node in recipients)
        return {"path": path, "entries": entries, "recipients": readers}
