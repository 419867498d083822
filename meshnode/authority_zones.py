"""Further zones of a network: what the holders of the root give one, and how they drop it again.

Each function takes a state and returns another, or a paper; nothing is saved here. A zone gets an
anchor of its own, made here, whose key certifies that one zone and is kept nowhere: else the zone,
or a thief of this folder, could certify others. Source: wire-format 7.3, 8.11, 8.12.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from meshnode.authority_documents import (
    SignRoot,
    changed_rule,
    with_drafted,
    without_strangers,
)
from meshnode.authority_keys import HybridKey
from meshnode.authority_state import ZONES_MAX, AuthorityState, CertifiedZone
from protocol.authority import (
    DocumentClass,
    RootBody,
    SignedDocument,
    decide,
    decode_root_untrusted,
    decode_untrusted,
)
from protocol.delegation import issuer_id_untrusted, load_unit_key_untrusted
from protocol.documents import SignerRule
from protocol.enrolment import open_secrets, seal_secrets
from protocol.envelope import HpkeSealer, PrekeySecret
from protocol.errors import EnrolmentError, IdentityError, RightsError
from protocol.identity import (
    REGIONAL_RANK,
    DeviceClass,
    Rights,
    Role,
    authority_rights_untrusted,
    verify_badge_untrusted,
    verify_link_chain_untrusted,
)
from protocol.issuing import (
    RegionalAuthority,
    certify_regional,
    issue_badge,
    issue_link,
    make_root,
)
from protocol.limits import ANCHORS_MAX
from protocol.network_keys import KEY_BYTES, epoch_at
from protocol.orders import issuer_id
from protocol.zones import (
    ZoneAnswer,
    ZoneRequest,
    build_zone_answer,
)

__all__ = [
    "ZonePending",
    "answered_before",
    "card_changes",
    "certified",
    "check_asked",
    "dropped_zone",
    "is_named",
    "zone_state",
]

_BOUND = (DocumentClass.ROSTER, DocumentClass.BEACON)


@dataclass(frozen=True, slots=True)
class ZonePending:
    """A zone's request that waits for its answer, with the keys behind it."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    """P-256; issues badges."""
    documents: HybridKey = field(repr=False)
    """Signs rosters."""
    prekey: PrekeySecret = field(repr=False)
    """Opens the keys of the network in the answer."""
    request: ZoneRequest
    """As it is shown."""


# --- where the root is signed ------------------------------------------------------------------


def check_asked(state: AuthorityState, request: ZoneRequest) -> None:
    """Check that a request may be certified.

    Raises: RightsError where no root is signed, EnrolmentError (`zone`, `used`, `known_key`,
    `full`).
    """
    if state.is_unit or state.is_zone:
        raise RightsError("a zone is certified where the root's cards are: in the national folder")
    if any(each.request_digest == request.digest for each in state.zones):
        raise EnrolmentError("used", "this request was answered before: make a fresh one")
    held = _held(state, request)
    if held is None or not held.is_recarded_by(request):
        is_full = len(_anchors_kept(state, held)) >= ANCHORS_MAX
        if is_full or len(state.zones) >= ZONES_MAX:
            raise EnrolmentError(
                "full", f"a network has at most {ANCHORS_MAX} zones: drop one first"
            )
    if held is None and request.zone in (state.zone, *(each.zone for each in _present(state))):
        raise EnrolmentError(
            "zone", f"zone {request.zone} has an authority already: ask with another number"
        )
    if _is_known(state, request, held):
        raise EnrolmentError("known_key", "a key of this request is known: make a fresh request")


def _is_known(state: AuthorityState, request: ZoneRequest, held: CertifiedZone | None) -> bool:
    """True if a key of the request that is not its zone's already has another use."""
    rules = state.root_body.rules
    pairs = {pair for rule in rules for pair in zip(rule.keys, rule.pq_keys, strict=False)}
    own = set() if held is None else {pair for pair in pairs if pair[0] in held.signers}
    taken = {half for rule in rules for half in (*rule.keys, *rule.pq_keys)}
    if any(half in taken for pair in set(request.signers.pairs) - own for half in pair):
        return True
    if held is not None:
        return False
    issuers = [state.badge_issuer, *(each.issuers[0] for each in state.zones)]
    known = {*map(issuer_id_untrusted, issuers), *(unit.unit_id for unit in state.units)}
    return issuer_id(request.public_key) in known | state.revoked.keys()


def _held(state: AuthorityState, request: ZoneRequest) -> CertifiedZone | None:
    """Return what the zone that asks was given last, if it asks by the very keys that it has.

    Those are the key that issues and the one that signs rosters; operators' cards come and go.
    """
    key = issuer_id(request.public_key)
    if key in state.revoked:
        return None
    return next(
        (
            each
            for each in reversed(_present(state))
            if each.zone == request.zone
            and issuer_id_untrusted(each.issuers[0]) == key
            and each.signers[0] == request.signers.roster[0]
        ),
        None,
    )


def _anchors_kept(state: AuthorityState, held: CertifiedZone | None) -> tuple[bytes, ...]:
    """Return the anchors that stay beside a new one.

    Of a zone that is renewed the newest stays, under which its devices are; older ones go.
    """
    if held is None:
        return state.root_body.anchors
    older = {each.anchor for each in _present(state) if each.zone == held.zone}
    gone = older - {held.anchor}
    return tuple(each for each in state.root_body.anchors if each not in gone)


def certified(
    state: AuthorityState, request: ZoneRequest, sign: SignRoot, now_ms: int
) -> tuple[AuthorityState, ZoneAnswer]:
    """Return the state whose root names a further zone, and the answer to its request.

    Signers of rosters and beacons that were bound to no zone are bound to ours. A zone that is in
    force and asks anew with the same cards gets fresh certificates under a fresh anchor; the last
    ones hold until they end. With other cards it keeps its certificates, and the root names those
    cards and no others for it. Raises: as `check_asked` and `sign`.
    """
    check_asked(state, request)
    held = _held(state, request)
    if held is not None and held.is_recarded_by(request):
        return _recarded(state, request, held, sign, now_ms)
    zone, name = request.zone, request.centre_name
    anchor = make_root(now_ms)
    key = load_unit_key_untrusted(request.public_key)
    earlier = None if held is None else held.issuers
    issuers = certify_regional(anchor, zone, now_ms, key, earlier)
    before = state.root_body
    rules = before.rules
    if held is None:
        rules = tuple(_with_zone(rule, request, state.zone, ()) for rule in before.rules)
    anchors = _anchors_kept(state, held)
    body = replace(before, anchors=(*anchors, anchor.certificate), rules=rules)
    entry = CertifiedZone(
        zone, name, request.digest, anchor.certificate, issuers, request.signers.keys, now_ms
    )
    zones = tuple(
        replace(each, is_dropped=each.is_dropped or each.anchor not in anchors)
        for each in state.zones
    )
    after = replace(state.with_document(sign(body)), zones=(*zones, entry))
    action = "zoned" if held is None else "renewed"
    return after.with_note(now_ms, action, f"{zone} {name}"), _answer(after, request, entry)


def _recarded(
    state: AuthorityState,
    request: ZoneRequest,
    held: CertifiedZone,
    sign: SignRoot,
    now_ms: int,
) -> tuple[AuthorityState, ZoneAnswer]:
    """Return the state whose root names other operators' cards of a zone, and its answer.

    What only a card that is gone had revoked is put on the draft.
    """
    gone = set(held.signers) - set(request.signers.keys)
    before = state.root_body
    rules = tuple(_with_zone(rule, request, state.zone, gone) for rule in before.rules)
    root = replace(before, rules=rules)
    entry = replace(
        held,
        name=request.centre_name,
        request_digest=request.digest,
        signers=request.signers.keys,
        certified_ms=now_ms,
    )
    after = replace(
        without_strangers(state.with_document(sign(root)), root), zones=(*state.zones, entry)
    )
    after = with_drafted(state, after)
    note = f"{request.zone} {request.centre_name}"
    return after.with_note(now_ms, "recarded", note), _answer(after, request, entry)


def card_changes(state: AuthorityState, request: ZoneRequest) -> tuple[int, int] | None:
    """Return how many operators' cards a zone in force asks for anew, and how many it gives up.

    None where it does not ask for other cards.
    """
    held = _held(state, request)
    if held is None or not held.is_recarded_by(request):
        return None
    before, wanted = set(held.signers), set(request.signers.keys)
    return len(wanted - before) // 2, len(before - wanted) // 2


def answered_before(state: AuthorityState, request: ZoneRequest) -> ZoneAnswer | None:
    """Return a fresh copy of the answer to a request whose zone is in force; None otherwise.

    Nothing is certified and no root is signed: whoever replays a request gains a paper that the
    zone's machine alone can open.
    """
    for each in _present(state):
        if each.request_digest == request.digest:
            return _answer(state, request, each)
    return None


def _present(state: AuthorityState) -> list[CertifiedZone]:
    return [each for each in state.zones if not each.is_dropped]


def _with_zone(
    rule: SignerRule, request: ZoneRequest, own: int, gone: Collection[bytes]
) -> SignerRule:
    """Return a rule of the root that names the signers of a further zone, if it has some.

    Those that are `gone` it names no longer.
    """
    found = _signers_of(rule.cls, request)
    if not found:
        return rule
    if rule.cls in _BOUND:
        bound = tuple(each or own for each in rule.zones or (0,) * len(rule.keys))
        rule = replace(rule, zones=bound)
    added = [pair for pair in found if pair[0] not in rule.keys]
    return changed_rule(rule, added, gone, request.zone)


def _signers_of(cls: DocumentClass, request: ZoneRequest) -> tuple[tuple[bytes, bytes], ...]:
    """Return what signs documents of a class for the zone that asks."""
    signers = request.signers
    return {
        DocumentClass.ROSTER: (signers.roster,),
        DocumentClass.REVOCATION: signers.revocations,
        DocumentClass.BEACON: signers.beacons,
    }.get(cls, ())


def _answer(state: AuthorityState, request: ZoneRequest, entry: CertifiedZone) -> ZoneAnswer:
    shown = (DocumentClass.ROOT, DocumentClass.REVOCATION)
    # As for a relay: the key of our SOS is not for them, they make one of their own.
    secrets = state.secrets.for_relay()
    return build_zone_answer(
        request,
        entry.issuers,
        tuple(each.raw for each in state.documents if each.cls in shown),
        seal_secrets(request.prekey, request.digest[:8], secrets, HpkeSealer()),
    )


def dropped_zone(
    state: AuthorityState, zone: int, sign: SignRoot, now_ms: int
) -> tuple[AuthorityState, CertifiedZone]:
    """Return the state whose root names nothing of a further zone any more, and that zone.

    Its badges lead to no anchor then, and its rosters, revocations and beacons have no signer. What
    it alone had revoked is put on the draft; rosters are not written yet. Raises: EnrolmentError
    (`zone`); as `sign`.
    """
    certificates = [each for each in _present(state) if each.zone == zone]
    if not certificates:
        raise EnrolmentError("zone", f"no further zone {zone} is in force: see 'authority zones'")
    found = certificates[-1]
    body, gone = state.root_body, set(found.signers)
    rules = [
        changed_rule(rule, [], gone, zone) if gone & set(rule.keys) else rule for rule in body.rules
    ]
    ended = {each.anchor for each in certificates}
    anchors = tuple(each for each in body.anchors if each not in ended)
    root = replace(body, anchors=anchors, rules=tuple(rules))
    after = replace(
        without_strangers(state.with_document(sign(root)), root),
        zones=tuple(
            replace(each, is_dropped=True) if each in certificates else each for each in state.zones
        ),
    )
    after = with_drafted(state, after)
    return after.with_note(now_ms, "unzoned", f"{zone} {found.name}"), found


# --- the zone ----------------------------------------------------------------------------------


def is_named(state: AuthorityState) -> bool:
    """True if the root in force stands behind this authority's certificates."""
    return state.anchor in state.root_body.anchors


def zone_state(
    pending: ZonePending, answer: ZoneAnswer, now_ms: int, entropy: Callable[[int], bytes]
) -> AuthorityState:
    """Return the first state of the zone that an answer makes; people have compared its digits.

    The answer is tried: what the zone signs and issues must hold for everybody. Raises:
    EnrolmentError (`altered`, `key`, `rights`, `root`); IdentityError, DocumentError and their like
    of the part that does not hold.
    """
    if answer.request_digest != pending.request.digest:
        raise EnrolmentError("altered", "this answer is for another request")
    if issuer_id_untrusted(answer.issuers[0]) != issuer_id(pending.request.public_key):
        raise EnrolmentError("key", "this answer certifies the key of another zone")
    given, zone = authority_rights_untrusted(answer.issuers[0]), pending.request.zone
    if (given.rank, given.zone, given.squads) != (REGIONAL_RANK, zone, ()):
        raise EnrolmentError("rights", "this answer says other rights than its certificate")
    documents = tuple(decode_untrusted(raw) for raw in answer.documents)
    root = _checked_root(documents, pending.request)
    issuer = RegionalAuthority(pending.key, *answer.issuers)
    # The newest is the last one: under it a zone is that has others from before.
    anchors = [each for each in reversed(root.anchors) if _holds(issuer, zone, each, now_ms)]
    if not anchors:
        raise EnrolmentError("root", "the root of this answer does not stand behind the zone")
    token = answer.request_digest[:8]
    given_keys = open_secrets(pending.prekey, token, answer.sealed_secrets, HpkeSealer())
    secrets = replace(given_keys, sos_key=entropy(KEY_BYTES), sos_epoch=epoch_at(now_ms))
    return AuthorityState(
        zone=zone,
        centre_name=pending.request.centre_name,
        secrets=secrets,
        anchor=anchors[0],
        badge_issuer=answer.issuers[0],
        link_issuer=answer.issuers[1],
        documents=tuple(sorted(documents, key=lambda each: (each.cls, each.scope))),
        is_zone=True,
    )


def _checked_root(documents: Sequence[SignedDocument], request: ZoneRequest) -> RootBody:
    """Return the root among the documents, which must name what the request asked for."""
    roots = [each for each in documents if each.cls is DocumentClass.ROOT]
    if len(roots) != 1:
        raise EnrolmentError("root", "an answer has one root")
    root = decode_root_untrusted(roots[0].body)
    for document in documents:
        decide(None, document, root)
    for cls in (*_BOUND, DocumentClass.REVOCATION):
        rule = root.rule(cls)
        named = () if rule is None else rule.within(request.zone).keys
        if any(pair[0] not in named for pair in _signers_of(cls, request)):
            raise EnrolmentError("root", "the root of this answer does not name the zone's signers")
    return root


def _holds(issuer: RegionalAuthority, zone: int, anchor: bytes, now_ms: int) -> bool:
    """True if what the zone issues, to a key that is thrown away, holds under this anchor."""
    key = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    rights = Rights(Role.OPERATOR, zone, (), DeviceClass.PC)
    try:
        verify_badge_untrusted(issue_badge(issuer, key, rights, now_ms), [anchor], now_ms)
        verify_link_chain_untrusted(issue_link(issuer, key, now_ms), [anchor], now_ms)
    except IdentityError:
        return False
    return True
