"""Explains single records and texts of enrolment as far as it can be without a key.

What comes out is made of plain JSON types. Contents of bundles, secrets of invitations and
signatures never come out; nothing is proven, because that needs the files of a node.
Source: STYLE 46, wire-format 4, 7, 8 and 10.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from protocol import authority
from protocol import bundle as bundles
from protocol.authority import DocumentClass, SignedDocument
from protocol.bundle import Scope, ScopeKind
from protocol.certificates import read_certificate_untrusted
from protocol.delegation import (
    decode_grant_untrusted,
    decode_report_untrusted,
    decode_unit_request_untrusted,
)
from protocol.documents import RootBody, RosterBody, decode_root_untrusted, decode_roster_untrusted
from protocol.enrolment import (
    decode_answer_untrusted,
    decode_documents_untrusted,
    decode_invitation_untrusted,
    decode_request_untrusted,
)
from protocol.errors import MalformedError, RemoteProtocolError
from protocol.ids import print_bundle_id, print_node_id
from protocol.zones import decode_zone_answer_untrusted, decode_zone_request_untrusted

__all__ = [
    "Facts",
    "answer_untrusted",
    "bundle_untrusted",
    "certificate_or_fault",
    "certificate_untrusted",
    "document_untrusted",
    "documents_untrusted",
    "invitation_untrusted",
    "moment",
    "request_untrusted",
    "unit_grant_untrusted",
    "unit_report_untrusted",
    "unit_request_untrusted",
    "word",
    "zone_answer_untrusted",
    "zone_request_untrusted",
]

Facts: TypeAlias = dict[str, Any]
"""What is known of something, by name; every value has a JSON form."""

_NOT_CHECKED: Final = "not checked: that needs the documents of a node"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# --- single records ----------------------------------------------------------------------------


def bundle_untrusted(raw: bytes) -> Facts:
    """Explain a container. Raises: MalformedError, LimitExceededError."""
    bundle = bundles.decode_untrusted(raw)
    header = bundle.header
    return {
        "id": print_bundle_id(header.id),
        "author": print_node_id(header.author),
        "kind": word(header.kind.name),
        "class": word(header.traffic_class.name),
        "suite": word(header.suite.name),
        **moment("created", header.hlc >> 16),
        **moment("expires", header.expires_ms),
        "lifetime_s": header.lifetime_s,
        "scope": _scope(header.scope),
        "key": header.keyref.hex(),
        "index": header.index,
        "header_bytes": len(bundle.header_bytes),
        "body_bytes": len(bundle.body),
        "digest": bundle.digest.hex(),
        "signature": _NOT_CHECKED,
    }


def _scope(scope: Scope) -> Facts:
    is_device = scope.kind is ScopeKind.DEVICE
    target = print_node_id(scope.target) if is_device else scope.target.hex()
    return {"kind": word(scope.kind.name), "zone": scope.zone, "target": target}


def document_untrusted(raw: bytes) -> Facts:
    """Explain an authority document. Raises: MalformedError, LimitExceededError."""
    document = authority.decode_untrusted(raw)
    return {
        "class": word(document.cls.name),
        "scope": document.scope.hex(),
        "epoch": document.epoch,
        "version": document.version,
        **moment("issued", document.issued_ms),
        "signers": [signer.hex() for signer, _signature in document.signatures],
        "digest": document.digest.hex(),
        "signature": _NOT_CHECKED,
        **_body(document),
    }


def _body(document: SignedDocument) -> Facts:
    try:
        if document.cls is DocumentClass.ROOT:
            return {"root": _root(decode_root_untrusted(document.body))}
        if document.cls is DocumentClass.ROSTER:
            return {"roster": _roster(decode_roster_untrusted(document.body))}
    except RemoteProtocolError as error:
        return {"fault": str(error)}
    return {"body_bytes": len(document.body)}


def _root(root: RootBody) -> Facts:
    return {
        "network": root.network_name,
        "epoch": root.epoch,
        "root_keys": len(root.root_keys),
        "anchors": [certificate_or_fault(der) for der in root.anchors],
        "rules": [
            {
                "class": word(rule.cls.name),
                "threshold": rule.threshold,
                # The keys of the root stand beside its rule, not in it.
                "signers": len(rule.keys or root.root_keys),
                **({"zones": list(rule.zones)} if rule.zones else {}),
            }
            for rule in root.rules
        ],
    }


def _roster(roster: RosterBody) -> Facts:
    return {
        "unit": word(roster.unit.name),
        "zone": roster.zone,
        "id": roster.unit_id.hex(),
        "name": roster.name,
        "members_count": len(roster.members),
        "members": [
            {
                "name": member.name,
                "node": print_node_id(member.node),
                "role": word(member.role.name),
                "device_class": word(member.device_class.name),
            }
            for member in roster.members
        ],
    }


def certificate_untrusted(der: bytes) -> Facts:
    """Explain one certificate. Raises: MalformedError, LimitExceededError."""
    facts = read_certificate_untrusted(der)
    found: Facts = {"kind": facts.kind.value}
    if facts.node is not None:
        found["node"] = print_node_id(facts.node)
    if facts.rights is not None:
        found["role"] = word(facts.rights.role.name)
        found["zone"] = facts.rights.zone
        found["squads"] = [squad.hex() for squad in facts.rights.squads]
        found["device_class"] = word(facts.rights.device_class.name)
    if facts.authority_rights is not None:
        found["rank"] = facts.authority_rights.rank
        found["zone"] = facts.authority_rights.zone
        found["squads"] = [squad.hex() for squad in facts.authority_rights.squads]
    found |= moment("valid_from", facts.not_before_ms)
    found |= moment("valid_until", facts.not_after_ms)
    return found


def certificate_or_fault(der: bytes) -> Facts:
    """Explain a certificate in a larger file; a broken one gives `fault` and its size."""
    return _or_fault(certificate_untrusted, der)


def _or_fault(explain: Callable[[bytes], Facts], raw: bytes) -> Facts:
    """Explain a part of something larger; a broken part does not hide the others."""
    try:
        return explain(raw)
    except RemoteProtocolError as error:
        return {"fault": str(error), "bytes": len(raw)}


# --- texts of enrolment ------------------------------------------------------------------------


def _text_untrusted(raw: bytes) -> str:
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError as error:
        raise MalformedError("this text has characters that do not belong to it") from error


def invitation_untrusted(raw: bytes) -> Facts:
    """Explain an invitation, but for its secret. Raises: MalformedError, LimitExceededError."""
    invitation = decode_invitation_untrusted(_text_untrusted(raw))
    return {
        "token": invitation.token.hex(),
        "secret": "not shown: whoever has it may become this device",
        **moment("expires", 1_000 * invitation.expires_s),
        "root_hash": invitation.root_hash.hex(),
        "zone": invitation.zone,
        "role": word(invitation.role.name),
        "device_class": word(invitation.device_class.name),
        "name": invitation.name,
        "squads": list(invitation.squads),
    }


def request_untrusted(raw: bytes) -> Facts:
    """Explain a request. Raises: MalformedError, LimitExceededError."""
    request = decode_request_untrusted(_text_untrusted(raw))
    return {
        "token": request.token.hex(),
        "code": request.code,
        "badge_request_bytes": len(request.badge_request),
        "link_request_bytes": len(request.link_request),
        "prekey": _or_fault(bundle_untrusted, request.prekey),
    }


def answer_untrusted(raw: bytes) -> Facts:
    """Explain an answer. Raises: MalformedError, LimitExceededError."""
    answer = decode_answer_untrusted(_text_untrusted(raw))
    return {
        "token": answer.token.hex(),
        "badge_chain": [certificate_or_fault(der) for der in answer.badge_chain],
        "link_chain": [certificate_or_fault(der) for der in answer.link_chain],
        "documents": [_or_fault(document_untrusted, each) for each in answer.documents],
        "prekeys": [_or_fault(bundle_untrusted, each) for each in answer.prekeys],
        "sealed_secrets_bytes": len(answer.sealed_secrets),
    }


def documents_untrusted(raw: bytes) -> Facts:
    """Explain a text of documents. Raises: MalformedError, LimitExceededError."""
    found = decode_documents_untrusted(_text_untrusted(raw))
    return {"documents": [_or_fault(document_untrusted, each) for each in found]}


def unit_request_untrusted(raw: bytes) -> Facts:
    """Explain a leader's request. Raises: MalformedError and its like."""
    request = decode_unit_request_untrusted(_text_untrusted(raw))
    return {"request": request.request_id.hex(), "code": request.code}


def unit_grant_untrusted(raw: bytes) -> Facts:
    """Explain a grant. Raises: MalformedError, LimitExceededError."""
    grant = decode_grant_untrusted(_text_untrusted(raw))
    return {
        "request": grant.request_id.hex(),
        "zone": grant.zone,
        "squads": list(grant.squads),
        "badge_chain": [certificate_or_fault(der) for der in (grant.badge_issuer, grant.above[0])],
        "link_chain": [certificate_or_fault(der) for der in (grant.link_issuer, grant.above[1])],
        "signature": _NOT_CHECKED,
        "sealed_secrets_bytes": len(grant.sealed_secrets),
    }


def zone_request_untrusted(raw: bytes) -> Facts:
    """Explain the request of a further zone. Raises: MalformedError and its like."""
    request = decode_zone_request_untrusted(_text_untrusted(raw))
    return {"zone": request.zone, "name": request.centre_name, "code": request.code}


def zone_answer_untrusted(raw: bytes) -> Facts:
    """Explain the answer to it. Raises: MalformedError, LimitExceededError."""
    answer = decode_zone_answer_untrusted(_text_untrusted(raw))
    return {
        "request": answer.request_digest.hex(),
        "code": answer.code,
        "issuers": [certificate_or_fault(der) for der in answer.issuers],
        "documents": len(answer.documents),
        "sealed_secrets_bytes": len(answer.sealed_secrets),
    }


def unit_report_untrusted(raw: bytes) -> Facts:
    """Explain a report. Raises: MalformedError, LimitExceededError."""
    report = decode_report_untrusted(_text_untrusted(raw))
    return {
        "unit": report.unit_id.hex(),
        "signature": _NOT_CHECKED,
        "devices": [
            {
                "name": each.name,
                "squads": list(each.squads),
                "badge": certificate_or_fault(each.badge),
                "prekey": _or_fault(bundle_untrusted, each.prekey),
                "replaces": each.replaces.hex(),
                **moment("enrolled", each.enrolled_ms),
            }
            for each in report.issued
        ],
    }


# --- words -------------------------------------------------------------------------------------


def word(name: str) -> str:
    """Return the name of a member of an enumeration as people read it."""
    return name.lower().replace("_", " ")


def moment(name: str, at_ms: int) -> Facts:
    """Return a time as a number and in words, UTC."""
    try:
        words = (_EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="seconds")
    except OverflowError:
        words = "outside the calendar"
    return {f"{name}_ms": at_ms, name: words}
