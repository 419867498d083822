"""Authority documents: small signed records with rising versions that travel from node to node.

How they are signed, read, and when one replaces another; what each class says is in
`protocol.documents`, `protocol.orders` and `protocol.witnessed`. Nothing here stores: the caller
saves a document and its effect in one transaction. Source: wire-format 7, security 2.9.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa

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
    zone_of_scope,
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
from protocol.orders import (
    ORDER_ID_BYTES,
    decode_beacon_untrusted,
    decode_revocation_untrusted,
    decode_wipe_untrusted,
    is_grown,
)
from protocol.witnessed import (
    decode_erasure_untrusted,
    decode_pass_untrusted,
    verify_erasure,
    verify_pass,
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
    "count_signers",
    "decide",
    "decode_root_untrusted",
    "decode_roster_untrusted",
    "decode_untrusted",
    "document_signer",
    "given_signature",
    "is_backed",
    "key_set_message",
    "pq_signer",
    "root_signer",
    "roster_scope",
    "signer_id",
    "unit_signer",
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
    sign: Callable[[bytes], bytes] = field(repr=False)
    """Returns the signature over the message given."""


def document_signer(key: ed25519.Ed25519PrivateKey) -> Signer:
    """Return the signer of rosters and other documents that this key is."""
    return Signer(signer_id(key.public_key().public_bytes_raw()), key.sign)


def pq_signer(key: mldsa.MLDSA65PrivateKey) -> Signer:
    """Return the second half of a hybrid signer: it signs beside the key that it belongs to."""
    return Signer(signer_id(key.public_key().public_bytes_raw()), key.sign)


def root_signer(key: ec.EllipticCurvePrivateKey) -> Signer:
    """Return the signer of root documents that this P-384 key is."""
    return Signer(
        signer_id(public_key_der(key.public_key())),
        lambda message: key.sign(message, ec.ECDSA(hashes.SHA384())),
    )


def unit_signer(key: ec.EllipticCurvePrivateKey) -> Signer:
    """Return the signer of passes that the P-256 key of a unit authority is."""
    return Signer(
        signer_id(public_key_der(key.public_key())),
        lambda message: key.sign(message, ec.ECDSA(hashes.SHA256())),
    )


def given_signature(signer: bytes, signature: bytes) -> Signer:
    """Return a signer that gives a signature which it made before; `signer` is its id."""
    return Signer(signer, lambda _message: signature)


def key_set_message(root: RootBody) -> bytes:
    """Return what a key of the root before signs to hand over to the keys of this one.

    It holds for every root of the epoch: whoever was away for some of them follows all the same.
    Source: wire-format 7.3.
    """
    rule = root.rules[0]
    record: Value = [root.epoch, root.root_keys, rule.threshold, rule.pq_keys]
    return b"meshnode key set 1\0" + encode(record)


def signer_id(public_key: bytes) -> bytes:
    """Return the 8 bytes by which a document names the holder of a public key."""
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


def decide(
    held: SignedDocument | None,
    candidate: SignedDocument,
    root: RootBody,
    *,
    is_narrow: bool = False,
) -> bool:
    """True if `candidate` shall replace `held` (the one in force with its class and scope).

    False if it says what `held` says. `root` is the root in force, for a first root the one that
    the caller pinned by its digest. `is_narrow`: it came over a link where the root lets the
    Ed25519 half of signatures do. Raises: StaleDocumentError, EquivocationError, ThresholdError,
    DocumentError; MalformedError or LimitExceededError for an odd body; IdentityError and
    AuthenticationError for documents that a certificate chain proves.
    Cost: 0.3 ms per signer, 5 ms for a chain. Source: wire-format 7.6, security 2.9.
    """
    assert held is None or (held.cls, held.scope) == (candidate.cls, candidate.scope)
    if held is not None and held.digest == candidate.digest:
        return False
    if held is not None and not is_backed(held, root):
        _check_later(held, candidate)
        held = None
    _check_version(held, candidate, root)
    _check_body(candidate)
    _check_growth(held, candidate)
    if candidate.cls.is_witnessed:
        _check_witness(candidate, root)
    else:
        _check_signatures(candidate, root, is_narrow=is_narrow)
    if held is not None and (held.epoch, held.version) == (candidate.epoch, candidate.version):
        # Only now: an outsider must not be able to raise this alarm.
        raise EquivocationError("two documents of one version say different things")
    return True


_BACKED = (DocumentClass.ROSTER, DocumentClass.REVOCATION, DocumentClass.BEACON)


def is_backed(document: SignedDocument, root: RootBody) -> bool:
    """True if somebody who signed a document that was taken may sign it under `root` as well.

    One that is not says nothing to others, and its number binds nobody: a stolen key must not shut
    out who comes after it. Roots, orders, proofs and passes outlive their signers. Cost: 10 µs;
    0.3 ms per signer where several names stand under it. Source: wire-format 7.6.
    """
    if document.cls not in _BACKED:
        return True
    try:
        quorum = _quorum_of_class(document, root)
    except ThresholdError:
        return False
    shown = {signer for signer, _signature in document.signatures}
    named = [number for number, key in enumerate(quorum.keys) if signer_id(key) in shown]
    if not named:
        return False
    halves = (quorum.keys[named[0]], *quorum.pq_keys[named[0] : named[0] + 1])
    # Whoever took it checked that somebody signed it; where others are named as well it was
    # perhaps not this one: anybody can put a name beside a false signature.
    return shown <= set(map(signer_id, halves)) or count_signers(document, root) > 0


def _check_later(held: SignedDocument, candidate: SignedDocument) -> None:
    """Check what takes the place of a document that nobody stands behind any more.

    A recorded sign of life that is older must not shorten a lease. Raises: StaleDocumentError.
    """
    if candidate.cls is DocumentClass.BEACON and candidate.issued_ms <= held.issued_ms:
        raise StaleDocumentError("a later sign of life is known here")


def count_signers(document: SignedDocument, root: RootBody) -> int:
    """Return how many distinct signers of its class really signed a document.

    A name beside a false signature counts for nothing. Ed25519 halves count alone where `root`
    lets them do on narrow links. Cost: 0.3 ms per signer.
    """
    try:
        quorums = _quorums(document, root)
    except DocumentError:
        return 0
    if root.is_classical_on_narrow:
        quorums = [replace(quorum, pq_keys=()) for quorum in quorums]
    return min(quorum.count(document) for quorum in quorums)


def _check_version(held: SignedDocument | None, candidate: SignedDocument, root: RootBody) -> None:
    held_epoch, held_version = (held.epoch, held.version) if held is not None else (0, 0)
    if (candidate.epoch, candidate.version) < (held_epoch, held_version):
        raise StaleDocumentError("a newer version of this document is in force here")
    if candidate.cls is not DocumentClass.ROOT and candidate.epoch > root.epoch:
        raise DocumentError("this document belongs to a root that is not known here yet", "root")
    if candidate.epoch > max(held_epoch, root.epoch) + DOCUMENT_VERSION_JUMP_MAX:
        raise DocumentError("the epoch rises by too much at once", "jump")
    base = held_version if candidate.epoch == held_epoch else 0
    if candidate.version > base + DOCUMENT_VERSION_JUMP_MAX:
        raise DocumentError("the version rises by too much at once", "jump")


def _check_growth(held: SignedDocument | None, candidate: SignedDocument) -> None:
    """Within one epoch the revocations of a signer only become more and stricter."""
    if held is None or candidate.cls is not DocumentClass.REVOCATION:
        return
    if (held.epoch, held.version) >= (candidate.epoch, candidate.version):
        return
    old, new = map(decode_revocation_untrusted, (held.body, candidate.body))
    if held.epoch == candidate.epoch and not is_grown(old, new):
        raise DocumentError(
            "a list of revocations lacks or loosens an entry of the one before", "loosened"
        )


def _check_body(candidate: SignedDocument) -> None:
    """Check that the document is about what it says it is about."""
    if candidate.scope != _scope_of(candidate):
        raise DocumentError("the scope of this document is not that of its content")


def _scope_of(candidate: SignedDocument) -> bytes:
    """Return the scope that a document's body asks for. Raises: as `decide`."""
    body = candidate.body
    match candidate.cls:
        case DocumentClass.ROOT:
            if decode_root_untrusted(body).epoch != candidate.epoch:
                raise DocumentError("a root says another epoch than the document around it")
            return b""
        case DocumentClass.ROSTER:
            return decode_roster_untrusted(body).scope
        case DocumentClass.REVOCATION:
            decode_revocation_untrusted(body)
            return candidate.scope  # whose list it is: see _check_signatures
        case DocumentClass.WIPE:
            decode_wipe_untrusted(body)
            if len(candidate.scope) != ORDER_ID_BYTES:
                raise DocumentError("a wipe order is named by eight bytes")
            return candidate.scope
        case DocumentClass.BEACON:
            return decode_beacon_untrusted(body).scope
        case DocumentClass.ERASURE:
            return decode_erasure_untrusted(body).scope
        case DocumentClass.PASS:
            decode_pass_untrusted(body)
            return candidate.scope  # the device's id: see _check_witness


def _check_witness(candidate: SignedDocument, root: RootBody) -> None:
    """Check a document that a certificate chain proves, at the time that it states."""
    if len(candidate.signatures) != 1:
        raise ThresholdError("a document of this class has one signature")
    message, (_signer, signature) = _message(candidate.signed), candidate.signatures[0]
    anchors, issued_ms = root.anchors, candidate.issued_ms
    if candidate.cls is DocumentClass.ERASURE:
        erasure = decode_erasure_untrusted(candidate.body)
        verify_erasure(erasure, message, signature, anchors, issued_ms)
        return
    shown = decode_pass_untrusted(candidate.body)
    member, _zone, _squads = verify_pass(shown, message, signature, anchors, issued_ms)
    if candidate.scope != member.node:
        raise DocumentError("the scope of a pass is the device that it is for")


@dataclass(frozen=True, slots=True)
class _Quorum:
    """Who may sign one document, and how many must."""

    keys: tuple[bytes, ...]
    """Public keys."""
    pq_keys: tuple[bytes, ...]
    """ML-DSA-65 keys beside them, or none."""
    threshold: int
    """So many of them."""
    verify: Callable[[bytes, bytes, bytes], None]
    """Checks (key, signature, message) of the first kind."""
    instead: bytes = b""
    """What may be signed in the place of the document; empty for nothing."""

    def count(self, candidate: SignedDocument) -> int:
        """Return how many distinct signers there are all of whose halves hold."""
        messages, shown = [_message(candidate.signed)], dict(candidate.signatures)
        if self.instead:
            messages.append(self.instead)
        valid = 0
        for number, key in enumerate(self.keys):
            halves = [(key, self.verify)]
            if self.pq_keys:
                halves.append((self.pq_keys[number], _verify_pq))
            valid += any(
                all(_holds(verify, half, shown, message) for half, verify in halves)
                for message in messages
            )
        return valid

    def check(self, candidate: SignedDocument) -> None:
        """Demand as many signers as the threshold. Raises: ThresholdError."""
        valid = self.count(candidate)
        if valid < self.threshold:
            raise ThresholdError(f"{valid} of {self.threshold} signatures needed are valid")


def _holds(
    verify: Callable[[bytes, bytes, bytes], None],
    key: bytes,
    shown: Mapping[bytes, bytes],
    message: bytes,
) -> bool:
    signature = shown.get(signer_id(key))
    if signature is None:
        return False
    try:
        verify(key, signature, message)
    except InvalidSignature:
        return False
    return True


def _check_signatures(candidate: SignedDocument, root: RootBody, *, is_narrow: bool) -> None:
    for quorum in _quorums(candidate, root):
        if is_narrow and root.is_classical_on_narrow:
            quorum = replace(quorum, pq_keys=())
        quorum.check(candidate)


def _quorums(candidate: SignedDocument, root: RootBody) -> list[_Quorum]:
    """Return whose signatures the document needs. Raises: ThresholdError, DocumentError."""
    if candidate.cls is not DocumentClass.ROOT:
        return [_quorum_of_class(candidate, root)]
    own = decode_root_untrusted(candidate.body)
    same_keys = (own.root_keys, own.rules[0].pq_keys) == (root.root_keys, root.rules[0].pq_keys)
    if candidate.epoch == root.epoch and not same_keys:
        raise DocumentError("other root keys need a new epoch")
    # The old keys sign to say that they agree, the new ones to show that they exist. The old ones
    # first: anybody can sign with sixteen keys of his own, and each costs half a millisecond.
    instead = key_set_message(own) if candidate.epoch > root.epoch else b""
    return [_quorum_of_root(root, instead), _quorum_of_root(own, b"")]


def _quorum_of_root(body: RootBody, instead: bytes) -> _Quorum:
    rule = body.rules[0]
    return _Quorum(body.root_keys, rule.pq_keys, rule.threshold, _verify_root, instead)


def _quorum_of_class(candidate: SignedDocument, root: RootBody) -> _Quorum:
    rule = root.rule(candidate.cls)
    if rule is None:
        raise ThresholdError("the root names nobody who may sign this class of document")
    if candidate.cls is not DocumentClass.REVOCATION:
        rule = rule.within(zone_of_scope(candidate.cls, candidate.scope))
        return _Quorum(rule.keys, rule.pq_keys, rule.threshold, _verify_device)
    for number, key in enumerate(rule.keys):
        if signer_id(key) == candidate.scope:
            return _Quorum((key,), rule.pq_keys[number : number + 1], 1, _verify_device)
    raise ThresholdError("the root does not name the signer whose list this is")


def _verify_device(key: bytes, signature: bytes, message: bytes) -> None:
    load_public_key(key).verify(signature, message)


def _verify_pq(key: bytes, signature: bytes, message: bytes) -> None:
    mldsa.MLDSA65PublicKey.from_public_bytes(key).verify(signature, message)


def _verify_root(key: bytes, signature: bytes, message: bytes) -> None:
    load_root_key_untrusted(key).verify(signature, message, ec.ECDSA(hashes.SHA384()))
