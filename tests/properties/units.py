"""Readers of unit authorities' papers, orders to co-sign, reports and sealed audit logs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from meshnode import explain, holdings
from meshnode.auditing import Auditing
from meshnode.authority_keys import AuthorityError
from meshnode.authority_orders import Known, read_wipe_untrusted
from meshnode.inbox import Inbox, _Work
from meshnode.vault.kinds import DataKind
from protocol import delegation, receipts
from protocol.armour import TextForm, armour
from protocol.authority import DocumentClass, SignerRule, build, document_signer
from protocol.bundle import Bundle
from protocol.canonical import encode
from protocol.envelope import PrekeySecret
from protocol.errors import (
    AuthenticationError,
    EnvelopeError,
    LimitExceededError,
    MalformedError,
    WeakKeyError,
)
from protocol.ids import NodeId
from protocol.stick import StickWriter
from tests.properties.audits import AUDIT_LOG
from tests.properties.orders import WIPE
from tests.properties.parsers import of_armoured, of_value
from tests.properties.table import Parser, value_of
from tests.protocol.enrolling import (
    BADGE,
    KEYS,
    NOW_MS,
    RECORD,
    ROOT_BODY,
    ROOT_DOCUMENT,
    SEALER,
    SECRET,
)
from tests.protocol.test_delegation import ISSUED, PUBLIC, UNIT, grant, report, request

__all__ = ["UNIT_PARSERS", "OneKey", "of_ascii", "result_of"]

PAPER = (MalformedError, LimitExceededError, AuthenticationError, WeakKeyError)
REQUEST, GRANT, REPORT = request(), grant(), report(ISSUED)
DEVICE = cast(tuple[Any, ...], value_of(REPORT.inner))[2][0]


def _paper(each: delegation.UnitRequest | delegation.UnitGrant | delegation.UnitReport) -> bytes:
    return encode([each.inner, each.signature])


def _signed(read: Callable[[bytes, bytes], object], signature: bytes) -> Callable[[bytes], object]:
    """Read bytes as what such a signature is about."""
    return lambda data: read(data, signature)


def of_ascii(form: TextForm, read: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """Read bytes as the record inside a text whose check is right."""
    return lambda data: read(armour(form, data).encode())


# --- orders ------------------------------------------------------------------------------------

RULE = SignerRule(DocumentClass.WIPE, 2, tuple(sorted(KEYS)))
RULES = tuple(sorted((*ROOT_BODY.rules, RULE), key=lambda rule: rule.cls))
KNOWN = Known((replace(ROOT_DOCUMENT, body=replace(ROOT_BODY, rules=RULES).encode()),))
ORDER = build(DocumentClass.WIPE, b"order-01", (1, 1), NOW_MS, WIPE, [document_signer(BADGE)])


# --- holdings ----------------------------------------------------------------------------------

LINE = holdings.Line(DataKind.MESSAGE, "kept for a month", 3, NOW_MS, 0, NOW_MS + 1, 4, 1)
HELD = holdings.HoldingsReport(NodeId(bytes(16)), NOW_MS, (LINE,))
HELD_LINE = encode(cast(tuple[Any, ...], value_of(HELD.encode()))[3][0])


# --- audit log ---------------------------------------------------------------------------------


class OneKey:
    """A store that holds one prekey."""

    async def read(self, function: Callable[[Any], object]) -> object:
        return function(None)

    @staticmethod
    def find(_conn: object, prekey_id: bytes) -> PrekeySecret | None:
        return SECRET if prekey_id == RECORD.prekey_id else None


def _sealed_log() -> bytes:
    writer = StickWriter([RECORD], SEALER, lambda count: bytes(range(count)))
    return writer.preamble + b"".join(writer.feed(AUDIT_LOG)) + writer.finish()


def result_of(waiting: Coroutine[Any, Any, object]) -> object:
    """Return what a coroutine gives that waits for nothing."""
    try:
        waiting.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("something in it waits")


def _opened_log(data: bytes) -> object:
    room = cast(Auditing, SimpleNamespace(_store=OneKey()))
    return result_of(Auditing._opened_untrusted(room, data, OneKey.find, SEALER))


def _key_request(data: bytes) -> object:
    work = _Work()
    try:
        return Inbox._request_untrusted(cast(Bundle, SimpleNamespace(body=data)), work)
    except (MalformedError, LimitExceededError):
        assert work.counts == {"key_requests_refused": 1}
        raise


UNIT_PARSERS: tuple[Parser, ...] = (
    Parser(
        "delegation.decode_unit_request_untrusted",
        of_armoured(TextForm.UNIT_REQUEST, delegation.decode_unit_request_untrusted),
        (_paper(REQUEST),),
        PAPER,
    ),
    Parser(
        "delegation.decode_grant_untrusted",
        of_armoured(TextForm.UNIT_GRANT, delegation.decode_grant_untrusted),
        (_paper(GRANT),),
    ),
    Parser(
        "delegation.decode_report_untrusted",
        of_armoured(TextForm.UNIT_REPORT, delegation.decode_report_untrusted),
        (_paper(REPORT),),
    ),
    Parser(
        "delegation.read_paper_untrusted",
        of_armoured(
            TextForm.UNIT_GRANT,
            lambda text: delegation.read_paper_untrusted(TextForm.UNIT_GRANT, text),
        ),
        (_paper(GRANT),),
    ),
    Parser(
        "delegation._grant_untrusted",
        _signed(delegation._grant_untrusted, GRANT.signature),
        (GRANT.inner,),
    ),
    Parser(
        "delegation._report_untrusted",
        _signed(delegation._report_untrusted, REPORT.signature),
        (REPORT.inner,),
    ),
    Parser(
        "delegation._issued_untrusted",
        of_value(delegation._issued_untrusted),
        (encode(DEVICE),),
    ),
    Parser(
        "delegation._names_untrusted",
        of_value(lambda value: delegation._names_untrusted(value, 1)),
        (encode([b"Queyras", b"Ubaye"]),),
    ),
    Parser("delegation.load_unit_key_untrusted", delegation.load_unit_key_untrusted, (PUBLIC,)),
    Parser(
        "delegation.issuer_id_untrusted",
        delegation.issuer_id_untrusted,
        (UNIT.badge_issuer, UNIT.link_issuer),
    ),
    Parser(
        "meshnode.explain.unit_request_untrusted",
        of_ascii(TextForm.UNIT_REQUEST, explain.unit_request_untrusted),
        (_paper(REQUEST),),
        PAPER,
    ),
    Parser(
        "meshnode.explain.unit_grant_untrusted",
        of_ascii(TextForm.UNIT_GRANT, explain.unit_grant_untrusted),
        (_paper(GRANT),),
    ),
    Parser(
        "meshnode.explain.unit_report_untrusted",
        of_ascii(TextForm.UNIT_REPORT, explain.unit_report_untrusted),
        (_paper(REPORT),),
    ),
    Parser(
        "meshnode.authority_orders.read_wipe_untrusted",
        lambda data: read_wipe_untrusted(data, KNOWN),
        (ORDER.raw, ROOT_DOCUMENT.raw),
        (MalformedError, LimitExceededError, AuthorityError),
    ),
    Parser(
        "meshnode.holdings.read_signed_untrusted",
        lambda data: holdings.read_signed_untrusted(data, KEYS[0]),
        (holdings.sign(HELD, BADGE.sign),),
        PAPER,
    ),
    Parser(
        "meshnode.holdings.claimed_node_untrusted",
        holdings.claimed_node_untrusted,
        (holdings.sign(HELD, BADGE.sign),),
    ),
    Parser(
        "meshnode.holdings._parts_untrusted",
        holdings._parts_untrusted,
        (holdings.sign(HELD, BADGE.sign),),
    ),
    Parser("meshnode.holdings._decode_untrusted", holdings._decode_untrusted, (HELD.encode(),)),
    Parser("meshnode.holdings._line_untrusted", of_value(holdings._line_untrusted), (HELD_LINE,)),
    Parser(
        "meshnode.auditing.Auditing._opened_untrusted",
        _opened_log,
        (_sealed_log(),),
        (MalformedError, LimitExceededError, EnvelopeError),
    ),
    Parser(
        "meshnode.inbox.Inbox._request_untrusted",
        _key_request,
        (receipts.encode_key_request(receipts.KeyRequest((b"chain-id",))),),
    ),
)
