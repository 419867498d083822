"""The documents of an authority's folder: root, rosters, and what cards and others have signed.

Every function takes a state and returns another; nothing is saved here. The root is signed by the
root's key, a roster by the roster key; documents of cards and of the mesh are taken in under the
rules that every node applies. Source: wire-format 7, security 2.1, 2.9.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from meshnode.authority_cards import Card, CardKind, make_card
from meshnode.authority_keys import AuthorityError
from meshnode.authority_state import AuthorityState, Enrolee, HandedCard
from protocol.authority import (
    DocumentClass,
    Member,
    RootBody,
    RosterBody,
    SignedDocument,
    Signer,
    SignerRule,
    Unit,
    build,
    decide,
    decode_root_untrusted,
    decode_roster_untrusted,
    decode_untrusted,
)
from protocol.documents import decode_name, zone_of_scope
from protocol.errors import (
    DocumentError,
    EnrolmentError,
    EquivocationError,
    IdentityError,
    RemoteProtocolError,
)
from protocol.guards import REVOKED_LISTED_MS
from protocol.limits import ANSWER_DOCUMENTS_MAX, MEMBERS_MAX, SIGNERS_MAX
from protocol.orders import Revocation

__all__ = [
    "OLDER_COPY",
    "ROOT_CARDS",
    "ROOT_SIGNERS",
    "WIPE_CARDS",
    "WIPE_SIGNERS",
    "Pair",
    "SignRoot",
    "changed_rule",
    "first_root",
    "handed",
    "held_rosters",
    "root_rule",
    "roster_bodies",
    "with_cards",
    "with_drafted",
    "with_rosters",
    "with_taken",
    "without_gone",
    "without_strangers",
]

WIPE_CARDS = 3
"""Cards that an authority makes for wipe orders, each for another person."""
WIPE_SIGNERS = 2
"""So many of them sign an order that is obeyed."""

ROOT_CARDS = 3
"""Cards that an authority makes for its root, each for another person."""
ROOT_SIGNERS = 2
"""So many of them sign a root document that holds."""

OLDER_COPY = str(
    AuthorityError(
        "this folder is an older copy of one that has signed more since: put the newest copy in "
        "its place; without one, 'authority renew-root' begins all numbers anew, and devices that "
        "it does not know are enrolled again"
    )
)
"""Refusal of a document that an authority signed itself, and knows nothing of."""

SignRoot: TypeAlias = Callable[[RootBody], SignedDocument]
"""Returns the next root document with this body; see `authority_roots.RootHolders`."""

Pair = tuple[bytes, bytes]
"""Public keys of a hybrid signer: Ed25519 (or the DER of a root key) and ML-DSA-65."""

_BY_CARDS = (DocumentClass.REVOCATION, DocumentClass.WIPE, DocumentClass.BEACON)


# --- root --------------------------------------------------------------------------------------


def first_root(
    name: str,
    anchor: bytes,
    roster: Pair,
    cards: Sequence[Card],
    now_ms: int,
) -> SignedDocument:
    """Return the first root document of a network: who may sign what; the root cards sign it."""
    keys, rule = root_rule(cards)
    body = RootBody(
        network_name=name,
        epoch=1,
        root_keys=keys,
        anchors=(anchor,),
        rules=(
            rule,
            _rule(DocumentClass.ROSTER, [roster]),
            *(_rule(cls, _pairs_of(cls, cards)) for cls in _BY_CARDS),
        ),
        is_classical_on_narrow=True,
    )
    holders = [card for card in cards if card.kind is CardKind.ROOT][:ROOT_SIGNERS]
    signers = [half for card in holders for half in card.key(DocumentClass.ROOT).signers]
    return build(DocumentClass.ROOT, b"", (1, 1), now_ms, body.encode(), signers)


def root_rule(cards: Sequence[Card]) -> tuple[tuple[bytes, ...], SignerRule]:
    """Return the root keys of the root cards among `cards`, and the rule about them."""
    pairs = sorted(_pairs_of(DocumentClass.ROOT, cards))
    rule = SignerRule(DocumentClass.ROOT, ROOT_SIGNERS, (), tuple(pair[1] for pair in pairs))
    return tuple(pair[0] for pair in pairs), rule


def _rule(cls: DocumentClass, pairs: Sequence[Pair]) -> SignerRule:
    ordered = sorted(pairs)
    threshold = WIPE_SIGNERS if cls is DocumentClass.WIPE else 1
    return SignerRule(
        cls, threshold, tuple(pair[0] for pair in ordered), tuple(pair[1] for pair in ordered)
    )


def _pairs_of(cls: DocumentClass, cards: Sequence[Card]) -> list[Pair]:
    return [card.key(cls).public for card in cards if cls in card.kind.classes]


def handed(card: Card) -> HandedCard:
    """Return what the state remembers of a card."""
    return HandedCard(
        card.kind.value, card.number, card.holder, tuple(pair[0] for pair in card.public)
    )


def in_order(cards: Iterable[HandedCard]) -> tuple[HandedCard, ...]:
    """Return cards as a state keeps them: by kind, then by number."""
    return tuple(sorted(cards, key=lambda card: (card.kind, card.number)))


def new_operator_card(state: AuthorityState, holder: str) -> Card:
    """Return a card with fresh keys for one more operator, under the first number that is free.

    Raises: MalformedError, LimitExceededError for an odd name.
    """
    name = decode_name(holder.encode(), "name of the holder")
    numbers = {card.number for card in state.cards if card.kind == CardKind.OPERATOR}
    number = next(each for each in range(1, SIGNERS_MAX + 2) if each not in numbers)
    return make_card(CardKind.OPERATOR, number, name, state.zone)


def with_cards(
    state: AuthorityState,
    added: Sequence[Card],
    dropped: Sequence[HandedCard],
    sign: SignRoot,
) -> AuthorityState:
    """Return the state with a new root document that names other cards.

    Raises: AuthorityError if too few or too many signers would remain; as `sign`.
    """
    body, gone = state.root_body, {key for card in dropped for key in card.signers}
    rules = []
    for rule in body.rules:
        if rule.cls in _BY_CARDS:
            rule = changed_rule(rule, _pairs_of(rule.cls, added), gone, state.zone)
        rules.append(rule)
    root = replace(body, rules=tuple(rules))
    document = sign(root)
    cards = [card for card in state.cards if card not in dropped]
    cards += [handed(card) for card in added]
    return replace(
        without_strangers(state.with_document(document), root),
        cards=in_order(cards),
    )


def with_drafted(before: AuthorityState, after: AuthorityState) -> AuthorityState:
    """Return `after` with what it no longer revokes, and `before` did, on the draft.

    Our devices among it leave the rosters, which are not written yet: until they are revoked again
    nothing else says that they are not trusted.
    """
    revoked = before.revoked
    alone = revoked.keys() - after.revoked.keys()
    lost = {subject: revoked[subject] for subject in sorted(alone)}
    enrolees = tuple(
        replace(each, is_removed=True) if each.node in lost else each for each in after.enrolees
    )
    return replace(after, drafts=(*after.drafts, *lost.values()), enrolees=enrolees)


def changed_rule(
    rule: SignerRule, added: Sequence[Pair], gone: Collection[bytes], zone: int
) -> SignerRule:
    """Return a rule of one class with other signers; those `added` are of `zone`.

    They are bound to it where others are bound to theirs. Raises: AuthorityError if too few or too
    many would remain.
    """
    zones = rule.zones or (0,) * len(rule.keys)
    kept = [
        (key, pq_key, each)
        for key, pq_key, each in zip(rule.keys, rule.pq_keys, zones, strict=False)
        if key not in gone
    ]
    bound = zone if any(zones) else 0
    kept = sorted([*kept, *((key, pq_key, bound) for key, pq_key in added)])
    if not rule.threshold <= len(kept) <= SIGNERS_MAX:
        raise AuthorityError(
            f"{len(kept)} cards of this kind would remain: {rule.threshold} to "
            f"{SIGNERS_MAX} are needed"
        )
    return SignerRule(
        rule.cls,
        rule.threshold,
        tuple(each[0] for each in kept),
        tuple(each[1] for each in kept),
        tuple(each[2] for each in kept) if any(each[2] for each in kept) else (),
    )


def without_strangers(state: AuthorityState, root: RootBody) -> AuthorityState:
    """Return the state without documents whose signers the root does not name any more."""
    kept = []
    for document in state.documents:
        try:
            decide(None, document, root)
        except (DocumentError, RemoteProtocolError):
            continue
        kept.append(document)
    return replace(state, documents=tuple(kept))


# --- rosters -----------------------------------------------------------------------------------


def with_rosters(
    state: AuthorityState, signers: Callable[[], Sequence[Signer]], now_ms: int
) -> AuthorityState:
    """Return `state` with a new version of each roster that its members change.

    `signers` reads the roster key, if a roster changes. Raises: EnrolmentError (`full`).
    """
    held = {each.scope: each for each in state.documents if each.cls is DocumentClass.ROSTER}
    after, halves = without_gone(state, now_ms), list[Signer]()
    for body in roster_bodies(after):
        if len(body.members) > MEMBERS_MAX:
            raise EnrolmentError("full", f"'{body.name}' has {MEMBERS_MAX} members already")
        before, encoded = held.get(body.scope), body.encode()
        epoch = state.root.epoch
        is_held = before is not None and before.epoch == epoch
        if before is not None and is_held and before.body == encoded:
            continue
        halves = halves or list(signers())
        version = (epoch, before.version + 1 if before is not None and is_held else 1)
        after = after.with_document(
            build(DocumentClass.ROSTER, body.scope, version, now_ms, encoded, halves)
        )
    if len(after.documents) > ANSWER_DOCUMENTS_MAX:
        raise EnrolmentError("full", "this authority has as many squads as it can have")
    return after


def without_gone(state: AuthorityState, now_ms: int) -> AuthorityState:
    """Return the state in which nothing stands in rosters that could not be believed by any.

    Those are devices whose unit authority was revoked, at once, because nothing that it issued
    holds; and devices that were revoked themselves, `REVOKED_LISTED_MS` after they were last in
    good hands: till then what they wrote before is on its way, and needs their keys.
    """
    revoked = state.revoked

    def is_gone(enrolee: Enrolee) -> bool:
        entry = revoked.get(enrolee.node)
        is_over = entry is not None and entry.since_ms + REVOKED_LISTED_MS <= now_ms
        return is_over or (bool(enrolee.unit) and enrolee.unit in revoked)

    enrolees = tuple(
        replace(each, is_removed=True) if not each.is_removed and is_gone(each) else each
        for each in state.enrolees
    )
    return replace(state, enrolees=enrolees)


def roster_bodies(state: AuthorityState) -> tuple[RosterBody, ...]:
    """Return the rosters that `state.enrolees` make: the centre, then the squads by id.

    A squad that lost its last member keeps an empty roster: else others would keep the old one.
    Revoked devices stand in them as well, as far as there is room.
    """
    names: dict[tuple[Unit, bytes], str] = {(Unit.CENTRE, b""): state.centre_name}
    seated: dict[tuple[Unit, bytes], list[Enrolee]] = {}
    revoked = state.revoked
    for roster in held_rosters(state.documents):
        names.setdefault((roster.unit, roster.unit_id), roster.name)
    for enrolee in state.listed:
        for unit, unit_id, name in enrolee.units(state.zone):
            names.setdefault((unit, unit_id), name)
            seated.setdefault((unit, unit_id), []).append(enrolee)
    ordered = sorted(names, key=lambda each: (each[0] is Unit.SQUAD, each[1]))
    return tuple(
        RosterBody(
            unit=unit,
            zone=state.zone,
            unit_id=unit_id,
            name=names[unit, unit_id],
            members=_members(seated.get((unit, unit_id), ()), revoked),
        )
        for unit, unit_id in ordered
    )


def _members(seated: Sequence[Enrolee], revoked: Mapping[bytes, Revocation]) -> tuple[Member, ...]:
    """Return the members of a roster; revoked ones have the places that are left, newest first."""
    lost = [each for each in seated if each.node in revoked]
    lost.sort(key=lambda each: revoked[each.node].since_ms, reverse=True)
    found = [each for each in seated if each.node not in revoked]
    found += lost[: max(0, MEMBERS_MAX - len(found))]
    return tuple(sorted((each.member for each in found), key=lambda each: each.public_key))


def held_rosters(documents: Sequence[SignedDocument]) -> tuple[RosterBody, ...]:
    """Return the rosters among `documents`: that of the centre first, then squads by id."""
    rosters = [
        decode_roster_untrusted(document.body)
        for document in documents
        if document.cls is DocumentClass.ROSTER
    ]
    return tuple(sorted(rosters, key=lambda each: (each.unit is Unit.SQUAD, each.unit_id)))


# --- from elsewhere ----------------------------------------------------------------------------


def with_taken(
    state: AuthorityState, raws: Sequence[bytes]
) -> tuple[AuthorityState, int, tuple[str, ...]]:
    """Return the state with documents that others signed, how many took effect, and refusals.

    A region takes no roots and rosters: it alone writes those, and one that it does not know is
    refused with `OLDER_COPY`; a further zone takes the roots of those who hold its cards. A refusal
    is the sentence of its error. Raises: MalformedError, LimitExceededError for bytes that are no
    documents.
    """
    found = sorted((decode_untrusted(raw) for raw in raws), key=lambda each: each.cls)
    own = [DocumentClass.ROSTER] if state.is_zone else [DocumentClass.ROOT, DocumentClass.ROSTER]
    root, taken, refusals = state.root_body, 0, list[str]()
    held = {(each.cls, each.scope): each for each in state.documents}
    for document in found:
        before = held.get((document.cls, document.scope))
        if document.cls in own and not state.is_unit:
            if OLDER_COPY not in refusals and _is_unknown(state, before, document):
                refusals.append(OLDER_COPY)
            continue
        try:
            is_new = decide(before, document, root)
        except (DocumentError, IdentityError, RemoteProtocolError) as error:
            refusals.append(str(error))
            continue
        if not is_new:
            continue
        if before is None and len(held) >= ANSWER_DOCUMENTS_MAX:
            refusals.append("this authority holds as many documents as it can")
            continue
        if document.cls is DocumentClass.ROOT:
            root = decode_root_untrusted(document.body)
        held[document.cls, document.scope] = document
        taken += 1
    ordered = sorted(held.values(), key=lambda each: (each.cls, each.scope))
    return replace(state, documents=tuple(ordered)), taken, tuple(refusals)


def _is_unknown(
    state: AuthorityState, before: SignedDocument | None, document: SignedDocument
) -> bool:
    """True for a document that this authority signed after the last one that it remembers."""
    if zone_of_scope(document.cls, document.scope) not in (0, state.zone):
        return False
    try:
        return decide(before, document, state.root_body)
    except EquivocationError:
        return True
    except (DocumentError, RemoteProtocolError):
        return False
