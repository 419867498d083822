"""The calls about what became of messages, in plain values; `Api` has them beside its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from meshnode.calls.base import Calls, Json
from meshnode.errors import SendError
from meshnode.local_numbers import local_number
from meshnode.services.matrix import Matrix, matrix_of
from meshnode.services.recalling import family
from meshnode.store import attachments, messages, reading
from meshnode.store.engine import Connection
from meshnode.store.records import MessageRecord
from protocol.bundle import Scope, ScopeKind
from protocol.errors import MalformedError
from protocol.ids import BundleId, parse_bundle_id_untrusted, print_bundle_id

__all__ = ["DeliveryCalls"]

_LAST_MAX: Final = 100
_PAGE: Final = 500


class DeliveryCalls(Calls):
    """What people may ask of messages that they wrote."""

    async def cancel(self, message: str) -> bool:
        """Take a message back with its copies; False if that changes nothing.

        Raises: SendError, QuotaError, StoreError.
        """
        record = await self._find(message)
        return await self._node.outbox.cancel(record.key)

    async def resend(self, message: str, to: str = "") -> Json:
        """Send a message again to those that lack it, or to the device named alone.

        Raises: UnknownNameError, SendError, QuotaError, StoreError.
        """
        record = await self._find(message)
        directory, node = self._node.membership.directory, None
        if to:
            scope = directory.find(to, self._node.identity.zone)
            if scope.kind is not ScopeKind.DEVICE:
                raise SendError("device", "a message is sent again to one device: give its name")
            node = scope.target
        sent = await self._node.outbox.resend(record.key, node)
        group = await self._node.store.read(lambda conn: family(conn, record.key))
        first = group[0].key
        has_file = await self._node.store.read(
            lambda conn: attachments.of_message(conn, first) is not None
        )
        self._node.housekeeping.wake.set()
        return {
            "message": print_bundle_id(sent.id),
            "key": sent.key,
            "resends": print_bundle_id(record.id),
            "state": sent.state.value,
            "recipients": sent.recipients,
            "brings_file": sent.has_file,
            "leaves_file_out": has_file and not sent.has_file,
        }

    async def matrix(self, to: str, last: int = 5) -> Json:
        """Return the newest `last` messages written here to `to`, each with its recipients.

        Copies count as the message that they repeat. Raises: UnknownNameError, LockedError,
        StoreError.
        """
        self._node.require_desk()
        scope = self._node.membership.directory.find(to, self._node.identity.zone)
        count = max(1, min(last, _LAST_MAX))
        await self._node.contact_log.flush()
        found = await self._node.store.read(lambda conn: self._newest(conn, scope, count))
        return {
            "to": self._describe(scope.encode()),
            "now_ms": self._node.runtime.now_ms(),
            "messages": [
                {
                    "key": each.first.key,
                    "message": print_bundle_id(each.first.id),
                    "text": each.first.text,
                    "created_ms": each.first.created_ms,
                    **self._matrix_of(each),
                }
                for each in found
            ],
        }

    def _newest(self, conn: Connection, scope: Scope, count: int) -> list[Matrix]:
        found: list[int] = []
        after = 0
        while page := messages.list_outgoing(conn, after, _PAGE):
            after = page[-1].key
            found += [
                each.key
                for each in page
                if each.scope == scope.encode() and reading.origin(conn, each.key) is None
            ]
        return [self._matrix(conn, key) for key in found[-count:]]

    def _matrix(self, conn: Connection, key: int) -> Matrix:
        directory, now_ms = self._node.membership.directory, self._node.runtime.now_ms()
        return matrix_of(conn, key, directory, now_ms)

    def _matrix_of(self, matrix: Matrix) -> Json:
        return {
            "outcome": matrix.outcome.value,
            "outcome_names": self._names(matrix.who),
            "copies": [each.key for each in matrix.copies],
            "matrix": [
                {
                    **self._who(row.node),
                    "state": row.state.value,
                    "at_ms": row.at_ms,
                    "why": row.why.value,
                    "last_heard_ms": row.heard_ms,
                    "is_out_of_reach": row.is_out,
                    "out_of_reach_since_ms": row.out_since_ms,
                }
                for row in matrix.rows
            ],
        }

    def _names(self, nodes: Sequence[bytes]) -> list[str]:
        return [self._node.membership.directory.name_of(node) for node in nodes]

    async def _find(self, text: str) -> MessageRecord:
        """Return the message that `text` names by its id, or by its local number."""
        self._node.require_desk()
        number = local_number(text)
        if number is not None:
            record = await self._node.store.read(lambda conn: messages.get(conn, number))
        else:
            bundle = _bundle_id(text)
            record = await self._node.store.read(lambda conn: messages.find(conn, bundle))
        if record is None:
            raise SendError("unknown", f"no message '{text[:80]}' is known on this device")
        return record


def _bundle_id(text: str) -> BundleId:
    try:
        return parse_bundle_id_untrusted(text)
    except MalformedError as error:
        raise SendError("unknown", str(error)) from error
