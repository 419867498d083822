"""Authority documents: small signed records with rising versions that travel from node to node.

How they are signed, read, and when one replaces another. Revocation, wipe and beacon have their
numbers and obey the same rules as root and roster. Nothing here stores: the caller saves a
document and its effect in one transaction. Source: wire-format 7, security 2.9.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from protocol import canonical
from protocol.bundle import load_public_key
from protocol.canonical import Value, as_array, as_bytes, as_uint, encode
from protocol.documents import (
    DocumentClass,
    Member,
    RootBody,
    RosterBody,
    SignerRule,
    Unit,
    decode_class,
    decode_root_untrusted,
    decode_roster_untrusted,
    load_root_key_untrusted,
    roster_scope,
)
from protocol.errors import DocumentError, EquivocationError, StaleDocumentError, ThresholdError
from protocol.issuing import public_key_der
from protocol.limits import (
    DOCUMENT_BYTES_MAX,
    DOCUMENT_SCOPE_BYTES_MAX,
    DOCUMENT_SIGNATURE_BYTES_MAX,
    DOCUMENT_SIGNATURES_MAX,
    DOCUMENT_VERSION_JUMP_MAX,
)

__all__ = [
    "DocumentClass",
    "Member",
    "RootBody",
    "RosterBody",
    "SignedDocument",
    "Signer",
    "SignerRule",
    "Unit",
    "build",
    "decide",
    "decode_root_untrusted",
    "decode_roster_untrusted",
    "decode_untrusted",
    "document_signer",
    "root_signer",
    "roster_scope",
]


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """One document in its one form. Whether it is in force is decided by `decide`."""

    cls: DocumentClass
    """Class."""
    scope: bytes
    """What within the class it is about; class and scope together name the document."""
    epoch: int
    """Key set of the root under which it was made; versions start again with each."""
    version: int
    """Counts from 1 within the epoch."""
    issued_ms: int
    """Unix milliseconds; decides nothing."""
    body: bytes
    """Canonical record of the class."""
    signatures: tuple[tuple[bytes, bytes], ...]
    """Pairs (signer8, signature)."""
    signed: bytes
    """The bytes that the signatures cover, after the domain."""
    raw: bytes
    """The whole document as it travels."""
    digest: bytes
    """SHA-256 of `signed`: two documents with one digest say the same."""


# --- signing -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that signs documents, without the key."""

    signer_id: bytes
    """8 bytes. Source: wire-format 7.2."""
    sign: Callable[[bytes], bytes]
    """Returns the signature over the message given."""


def document_signer(key: ed25519.Ed25519PrivateKey) -> Signer:
    """Return the signer of rosters and other documents that this key is."""
    return Signer(_signer_id(key.public_key().public_bytes_raw()), key.sign)


def root_signer(key: ec.EllipticCurvePrivateKey) -> Signer:
    """Return the signer of root documents that this P-384 key is."""
    return Signer(
        _signer_id(public_key_der(key.public_key())),
        lambda message: key.sign(message, ec.ECDSA(hashes.SHA384())),
    )


def _signer_id(public_key: bytes) -> bytes:
    return hashlib.sha256(public_key).digest()[:8]


def build(
    cls: DocumentClass,
    scope: bytes,
    version: tuple[int, int],
    issued_ms: int,
    body: bytes,
    signers: Sequence[Signer],
) -> SignedDocument:
    """Return a document of `version` (epoch, number), signed by each of `signers`.

    Raises: LimitExceededError, MalformedError for what no reader would accept.
    """
    signed = encode([1, cls.value, scope, *version, issued_ms, body])
    signatures = [[signer.signer_id, signer.sign(_message(signed))] for signer in signers]
    return decode_untrusted(encode([signed, signatures]))


def _message(signed: bytes) -> bytes:
    return b"meshnode document 1\0" + signed


# --- reading -----------------------------------------------------------------------------------


def decode_untrusted(raw: bytes) -> SignedDocument:
    """Return the document that `raw` is the one form of; no signature is checked yet.

    Raises: MalformedError, LimitExceededError.
    """
    outer = as_array(_record_untrusted(raw), "document", 2)
    signed = as_bytes(outer[0], "signed part", DOCUMENT_BYTES_MAX, 0)
    record = as_array(_record_untrusted(signed), "signed part", 7)
    as_uint(record[0], "version of the format", 1, 1)
    pairs = as_array(outer[1], "signatures", DOCUMENT_SIGNATURES_MAX, 1)
    return SignedDocument(
        cls=decode_class(record[1]),
        scope=as_bytes(record[2], "scope", DOCUMENT_SCOPE_BYTES_MAX, 0),
        epoch=as_uint(record[3], "epoch", minimum=1),
        version=as_uint(record[4], "version", minimum=1),
        issued_ms=as_uint(record[5], "time of issue"),
        body=as_bytes(record[6], "body", DOCUMENT_BYTES_MAX, 0),
        signatures=tuple(_signature_untrusted(pair) for pair in pairs),
        signed=signed,
        raw=raw,
        digest=hashlib.sha256(signed).digest(),
    )


def _record_untrusted(raw: bytes) -> Value:
    return canonical.decode_untrusted(raw, max_bytes=DOCUMENT_BYTES_MAX)


def _signature_untrusted(value: Value) -> tuple[bytes, bytes]:
    pair = as_array(value, "signature", 2)
    signature = as_bytes(pair[1], "signature", DOCUMENT_SIGNATURE_BYTES_MAX, 0)
    return as_bytes(pair[0], "signer", 8), signature


# --- deciding ----------------------------------------------------------------------------------


def decide(held: SignedDocument | None, candidate: SignedDocument, root: RootBody) -> bool:
    """True if `candidate` shall replace `held` (the one in force with its class and scope).

    False if it says what `held` says. `root` is the root in force, for a first root the one that
    the caller pinned by its digest. Raises: StaleDocumentError, EquivocationError, ThresholdError,
    DocumentError; MalformedError or LimitExceededError for an odd body.
    Source: wire-format 7.6, security 2.9.
    """
    assert held is None or (held.cls, held.scope) == (candidate.cls, candidate.scope)
    if held is not None and held.digest == candidate.digest:
        return False
    _check_version(held, candidate, root)
    _check_body(candidate)
    _check_signatures(candidate, root)
    if held is not None and (held.epoch, held.version) == (candidate.epoch, candidate.version):
        # Only now: an outsider must not be able to raise this alarm.
        raise EquivocationError("two documents of one version say different things")
    return True


def _check_version(held: SignedDocument | None, candidate: SignedDocument, root: RootBody) -> None:
    held_epoch, held_version = (held.epoch, held.version) if held is not None else (0, 0)
    if (candidate.epoch, candidate.version) < (held_epoch, held_version):
        raise StaleDocumentError("a newer version of this document is in force here")
    if candidate.cls is not DocumentClass.ROOT and candidate.epoch > root.epoch:
        raise DocumentError("this document belongs to a root that is not known here yet")
    if candidate.epoch > max(held_epoch, root.epoch) + DOCUMENT_VERSION_JUMP_MAX:
        raise DocumentError("the epoch rises by too much at once")
    base = held_version if candidate.epoch == held_epoch else 0
    if candidate.version > base + DOCUMENT_VERSION_JUMP_MAX:
        raise DocumentError("the version rises by too much at once")


def _check_body(candidate: SignedDocument) -> None:
    """Check that the document is about what it says it is about."""
    if candidate.cls is DocumentClass.ROSTER:
        expected = decode_roster_untrusted(candidate.body).scope
    elif candidate.cls is DocumentClass.ROOT:
        if decode_root_untrusted(candidate.body).epoch != candidate.epoch:
            raise DocumentError("a root says another epoch than the document around it")
        expected = b""
    else:
        expected = candidate.scope
    if candidate.scope != expected:
        raise DocumentError("the scope of this document is not that of its content")


def _check_signatures(candidate: SignedDocument, root: RootBody) -> None:
    if candidate.cls is not DocumentClass.ROOT:
        rules = {rule.cls: rule for rule in root.rules}
        if candidate.cls not in rules:
            raise ThresholdError("the root names nobody who may sign this class of document")
        rule = rules[candidate.cls]
        keys = {_signer_id(key): key for key in rule.keys}
        _check_threshold(candidate, keys, rule.threshold, _verify_device)
        return
    own = decode_root_untrusted(candidate.body)
    if candidate.epoch == root.epoch and own.root_keys != root.root_keys:
        raise DocumentError("other root keys need a new epoch")
    # The old keys sign to say that they agree, the new ones to show that they exist. The old ones
    # first: anybody can sign with sixteen keys of his own, and each costs half a millisecond.
    for body in (root, own):
        keys = {_signer_id(key): key for key in body.root_keys}
        _check_threshold(candidate, keys, body.rules[0].threshold, _verify_root)


def _check_threshold(
    candidate: SignedDocument,
    keys: Mapping[bytes, bytes],
    threshold: int,
    verify: Callable[[bytes, bytes, bytes], None],
) -> None:
    """Count distinct named signers whose signature holds. Raises: ThresholdError."""
    message, valid = _message(candidate.signed), set()
    for signer_id, signature in candidate.signatures:
        key = keys.get(signer_id)
        if key is None or key in valid:
            continue
        try:
            verify(key, signature, message)
        except InvalidSignature:
            continue
        valid.add(key)
    if len(valid) < threshold:
        raise ThresholdError(f"{len(valid)} of {threshold} signatures needed are valid")


def _verify_device(key: bytes, signature: bytes, message: bytes) -> None:
    load_public_key(key).verify(signature, message)


def _verify_root(key: bytes, signature: bytes, message: bytes) -> None:
    load_root_key_untrusted(key).verify(signature, message, ec.ECDSA(hashes.SHA384()))
