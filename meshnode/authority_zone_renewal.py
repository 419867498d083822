"""What a further zone asks for once it is in force: fresh certificates, or other operators' cards.

Both go by the papers with which it was let in: a request, an answer, twenty digits. Its keys stay.
A request names every card that the zone shall have, so that what an earlier one left half done is
put right by the next. Source: wire-format 8.11, 8.12.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from meshnode.authority_cards import CardKind, open_card, write_card
from meshnode.authority_documents import (
    handed,
    in_order,
    new_operator_card,
    with_drafted,
    with_taken,
    without_strangers,
)
from meshnode.authority_inviting import Entropy, tidy
from meshnode.authority_keys import AuthorityError, AuthorityKeys
from meshnode.authority_state import AuthorityState, HandedCard
from meshnode.authority_zones import ZonePending, zone_state
from meshnode.files import erase, make_private_folder, sync_folder
from protocol.authority import DocumentClass
from protocol.envelope import PrekeyRecord
from protocol.errors import EnrolmentError, RightsError
from protocol.guards import ZONE_CARDS_MAX
from protocol.zones import ZoneAnswer, ZoneRequest, ZoneSigners, build_zone_request

__all__ = ["SAME_CARDS", "CardWish", "ask_anew", "renewed_state", "with_placed_card"]

_CARD = "zone-card"
"""Holds a card that was asked for, in the authority's folder, until its answer is there."""


@dataclass(frozen=True, slots=True)
class CardWish:
    """Which operators' cards a zone wants otherwise."""

    holder: str | None = None
    """Name of the person for whom one more is made; None for nobody."""
    dropped: int | None = None
    """Number of a card that shall count no longer, such as one that was lost; None for none."""


SAME_CARDS = CardWish()
"""The zone keeps those that it has: it asks for fresh certificates."""


def ask_anew(
    folder: Path,
    state: AuthorityState,
    keys: AuthorityKeys,
    prekey: PrekeyRecord,
    wish: CardWish,
    passphrase: str,
    entropy: Entropy,
) -> ZoneRequest:
    """Return the request of the zone whose authority is in `folder`, with the keys that it has.

    The card that is wished for waits in `folder`; one that waited there is given up. Raises:
    RightsError in another folder; EnrolmentError (`root`) where the root names no more what the
    zone was let in with; AuthorityError for a card that is not there, too few or too many;
    MalformedError, LimitExceededError for an odd name.
    """
    if not state.is_zone:
        raise RightsError("only a further zone asks to be certified anew, in its own folder")
    held = _operators(state)
    if wish.dropped is not None and wish.dropped not in {card.number for card in held}:
        raise AuthorityError(f"there is no card 'operator-{wish.dropped}'")
    added = None if wish.holder is None else new_operator_card(state, tidy(wish.holder))
    cards = [_pairs(state, card) for card in held if card.number != wish.dropped]
    if added is not None:
        revocation, beacon = added.public
        cards.append((revocation, beacon))
    if not 1 <= len(cards) <= ZONE_CARDS_MAX:
        raise AuthorityError(
            f"{len(cards)} operators' cards would remain: 1 to {ZONE_CARDS_MAX} are needed"
        )
    erase(folder / _CARD)
    if added is not None:
        write_card(folder / _CARD, added, passphrase, entropy, keys.scrypt_cost)
    signers = ZoneSigners(keys.read_hybrid("documents").public, tuple(cards))
    place = (state.zone, state.centre_name)
    return build_zone_request(place, keys.read_ec("regional"), prekey, signers)


def _operators(state: AuthorityState) -> list[HandedCard]:
    return [card for card in state.cards if card.kind == CardKind.OPERATOR]


def _pairs(
    state: AuthorityState, card: HandedCard
) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    """Return both public keys of both classes on a card of the zone."""
    revocation, beacon = (
        _pair(state, cls, key)
        for cls, key in zip(CardKind.OPERATOR.classes, card.signers, strict=True)
    )
    return revocation, beacon


def _pair(state: AuthorityState, cls: DocumentClass, key: bytes) -> tuple[bytes, bytes]:
    rule = state.root_body.rule(cls)
    if rule is None or key not in rule.keys:
        raise EnrolmentError("root", "the root of this network names the zone's signers no more")
    return key, rule.pq_keys[rule.keys.index(key)]


def renewed_state(
    state: AuthorityState,
    pending: ZonePending,
    answer: ZoneAnswer,
    now_ms: int,
    entropy: Callable[[int], bytes],
) -> AuthorityState:
    """Return the state of a zone under the certificates and cards of an answer.

    Members, units, keys and the journal stay as they are; what only a card that is gone had revoked
    is put on the draft. The card that was made for it is none of the state's yet. Raises: as
    `zone_state`; EnrolmentError (`root`) for a root that does not follow the one in force here.
    """
    fresh = zone_state(pending, answer, now_ms, entropy)
    taken, _count, refusals = with_taken(state, answer.documents)
    if refusals or taken.root != fresh.root:
        raise EnrolmentError("root", "the root of this answer does not follow the one in force")
    named = set(pending.request.signers.keys)
    gone = [card for card in _operators(state) if not named.issuperset(card.signers)]
    after = replace(
        taken,
        anchor=fresh.anchor,
        badge_issuer=fresh.badge_issuer,
        link_issuer=fresh.link_issuer,
        cards=tuple(card for card in state.cards if card not in gone),
    )
    if gone:
        after = with_drafted(state, without_strangers(after, after.root_body))
        for card in gone:
            after = after.with_note(now_ms, "uncarded", f"operator-{card.number}")
        return after
    return after.with_note(now_ms, "renewed", str(after.root.version))


def with_placed_card(
    folder: Path, state: AuthorityState, request: ZoneRequest, passphrase: str, now_ms: int
) -> tuple[AuthorityState, Path | None]:
    """Put the card that a request asked for in HOME/cards; return the state that has it, and where.

    Done again after a power cut, it finds the card where it lies. Raises: AuthorityError.
    """
    waiting, cards = folder / _CARD, folder.parent / "cards"
    if waiting.exists():
        make_private_folder(cards)
        os.rename(waiting, cards / f"{open_card(waiting, passphrase).label}.card")
        sync_folder(cards)
    named = set(request.signers.keys)
    for path in sorted(cards.glob("operator-*.card")):
        card = open_card(path, passphrase)
        made = handed(card)
        if made not in state.cards and named.issuperset(made.signers):
            after = replace(state, cards=in_order([*state.cards, made]))
            return after.with_note(now_ms, "carded", card.label), path
    return state, None
