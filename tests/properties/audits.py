"""Parsers of audit logs and their heads, and of what they are made of."""

from __future__ import annotations

from protocol import audit
from protocol.canonical import encode
from protocol.errors import LimitExceededError, MalformedError, TamperedError
from tests.properties.table import Parser, value_of
from tests.protocol.enrolling import NOW_MS

__all__ = ["AUDIT_LOG", "AUDIT_PARSERS"]

NODE = bytes(range(16))
AUDIT_HEAD = audit.encode_head(audit.AuditHead(5, bytes(32)))
_ENTRY = audit.chained(audit.ORIGIN, NOW_MS, "wipe", NODE, 1)
AUDIT_LOG = b"".join(audit.encode_log(audit.AuditLog(NODE, audit.ORIGIN, (_ENTRY,))))
AUDIT_OPENING = encode([1, NODE, 0, bytes(32)])


def _fed(data: bytes) -> audit.AuditReader:
    reader = audit.AuditReader()
    reader.feed_untrusted(data)
    return reader


def _next_of_log(data: bytes) -> object:
    reader = audit.AuditReader()
    reader._buffer += data
    return reader._next_untrusted()


AUDIT_PARSERS: tuple[Parser, ...] = (
    Parser("audit.decode_head_untrusted", audit.decode_head_untrusted, (AUDIT_HEAD,)),
    Parser("audit.AuditReader.feed_untrusted", _fed, (AUDIT_LOG,)),
    Parser("audit.AuditReader._next_untrusted", _next_of_log, (AUDIT_LOG[8:],)),
    Parser(
        "audit.AuditReader._take_untrusted",
        lambda data: audit.AuditReader()._take_untrusted(data),
        (AUDIT_OPENING,),
    ),
    Parser(
        "audit.AuditReader.finish_untrusted",
        lambda data: _fed(data).finish_untrusted(),
        (AUDIT_LOG,),
        (MalformedError, LimitExceededError, TamperedError),
    ),
    Parser(
        "audit._entry_untrusted",
        lambda data: audit._entry_untrusted(value_of(data)),
        (encode([1, NOW_MS, b"wipe", NODE, 1, bytes(32)]),),
    ),
)
