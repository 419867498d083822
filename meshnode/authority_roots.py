"""Who signs a root document: two of the three holders of root cards, who come together for it.

A root is changed rarely, where the authority's folder is; so the cards are brought to one table,
and no half-signed root travels. A card that was not handed over yet counts from HOME/cards. A
folder whose root has no cards holds its one key itself, until `renewed` puts cards in its place.
Source: security 2.1, 2.9, wire-format 7.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from meshnode.authority_cards import Card, CardKind, make_card, open_card, write_card
from meshnode.authority_documents import (
    ROOT_CARDS,
    handed,
    in_order,
    root_rule,
    with_cards,
    with_drafted,
    without_strangers,
)
from meshnode.authority_inviting import Entropy
from meshnode.authority_keys import AuthorityError, AuthorityKeys, DocumentKey
from meshnode.authority_state import AuthorityState, HandedCard
from protocol.authority import (
    DocumentClass,
    RootBody,
    SignedDocument,
    Signer,
    build,
    decide,
    given_signature,
    key_set_message,
    signer_id,
)
from protocol.errors import LimitExceededError
from protocol.limits import SIGNERS_MAX

__all__ = [
    "HeldCard",
    "RootHolders",
    "new_root_cards",
    "present_cards",
    "renewed",
    "without_operator",
]


@dataclass(frozen=True, slots=True)
class HeldCard:
    """A card that lies open, and how it is closed again."""

    path: Path
    """Where it is."""
    card: Card
    """What is on it."""
    passphrase: str = field(repr=False)
    """Its holder's."""


def present_cards(folder: Path, state: AuthorityState, passphrase: str) -> list[HeldCard]:
    """Return the root cards in `folder` that were not handed over yet. Raises: AuthorityError.

    Others may lie beside them, whole or half erased, where the power failed in a renewal.
    """
    numbers = [card.number for card in state.cards if card.kind == CardKind.ROOT]
    paths = [folder / f"root-{number}.card" for number in numbers]
    return [
        HeldCard(path, open_card(path, passphrase), passphrase) for path in paths if path.exists()
    ]


class RootHolders:
    """Those who are at the table; signs the next root of one state with as many as it takes."""

    def __init__(
        self,
        state: AuthorityState,
        keys: AuthorityKeys,
        brought: Sequence[HeldCard],
        here: Sequence[HeldCard],
        now_ms: int,
        entropy: Entropy,
    ) -> None:
        """`brought` are cards of holders, `here` those that were not handed over.

        Raises: AuthorityError for one that was brought and is no card of this root.
        """
        self._state = state
        self._keys = keys
        self._now_ms = now_ms
        self._entropy = entropy
        named = set(state.root_body.root_keys)
        self._held: dict[bytes, HeldCard] = {}
        for each in (*brought, *here):
            public = each.card.key(DocumentClass.ROOT).public[0]
            if public in named:
                self._held[public] = each
            elif each in brought:
                raise AuthorityError(
                    f"the root does not name the card '{each.card.label}' any more: bring another"
                )

    def sign(self, body: RootBody, successors: Sequence[DocumentKey] = ()) -> SignedDocument:
        """Return the next root document with `body`, which the cards at the table signed.

        With `successors`, the keys of a new epoch, these sign the document and the cards hand over
        to them; later roots of the epoch show that again to whoever has not seen this one. Each
        card remembers the document before it is given on. Raises: AuthorityError for too few
        cards; as `decide`.
        """
        before, rule = self._state.root, self._state.root_body.rules[0]
        used, keys = self._signing(rule.threshold)
        last = [each.card.last(DocumentClass.ROOT) for each in used]
        seen = max((each.version for each in last if each and each.epoch == body.epoch), default=0)
        held = before.version if before.epoch == body.epoch else 0
        version, signers = max(seen, held) + 1, self._signers(body, keys, successors)
        try:
            document = build(
                DocumentClass.ROOT,
                b"",
                (body.epoch, version),
                self._now_ms,
                body.encode(),
                signers,
            )
        except LimitExceededError as error:
            raise AuthorityError(
                "the root has no room for so many cards and zones: drop an operator's card or a "
                "zone first"
            ) from error
        decide(before, document, self._state.root_body)
        for each in used:
            after = each.card.remembering(document)
            write_card(each.path, after, each.passphrase, self._entropy, self._keys.scrypt_cost)
        return document

    def _signers(
        self, body: RootBody, keys: Sequence[DocumentKey], successors: Sequence[DocumentKey]
    ) -> list[Signer]:
        halves = [half for key in keys for half in key.signers]
        if successors:
            message = key_set_message(body)
            handing = [given_signature(half.signer_id, half.sign(message)) for half in halves]
            return [*handing, *(half for key in successors for half in key.signers)]
        own = {signer_id(key) for key in (*body.root_keys, *body.rules[0].pq_keys)}
        shown = [
            given_signature(*pair) for pair in self._state.root.signatures if pair[0] not in own
        ]
        return [*shown, *halves]

    def _signing(self, threshold: int) -> tuple[list[HeldCard], list[DocumentKey]]:
        own = self._keys.read_root()
        if own is not None:
            return [], [own]
        used = list(self._held.values())[:threshold]
        if len(used) < threshold:
            raise AuthorityError(
                f"{len(used)} of {threshold} root cards are here: bring another holder's card "
                "with --root-card"
            )
        return used, [each.card.key(DocumentClass.ROOT) for each in used]


def without_operator(
    state: AuthorityState, number: int, holders: RootHolders, *, is_list_void: bool
) -> tuple[AuthorityState, HandedCard]:
    """Return the state whose root names an operator's card no longer, and that card.

    See `AuthorityHome.drop_operator`; rosters are not written yet. Raises: AuthorityError.
    """
    wanted = (CardKind.OPERATOR, number)
    dropped = next((card for card in state.cards if (card.kind, card.number) == wanted), None)
    if dropped is None:
        raise AuthorityError(f"there is no card 'operator-{number}'")
    after = with_cards(state, [], [dropped], holders.sign)
    return after if is_list_void else with_drafted(state, after), dropped


def new_root_cards(state: AuthorityState) -> list[Card]:
    """Return three root cards with fresh keys, under numbers that no root card has now."""
    taken = {card.number for card in state.cards if card.kind == CardKind.ROOT}
    free = [number for number in range(1, SIGNERS_MAX + 1) if number not in taken]
    return [
        make_card(CardKind.ROOT, number, f"holder {number}", state.zone)
        for number in free[:ROOT_CARDS]
    ]


def renewed(state: AuthorityState, holders: RootHolders, cards: Sequence[Card]) -> AuthorityState:
    """Return the state whose root names the root cards among `cards` and no other.

    It is a new key set: versions of all documents start again with it. Raises: as
    `RootHolders.sign`.
    """
    body, (keys, rule) = state.root_body, root_rule(cards)
    after = replace(body, epoch=body.epoch + 1, root_keys=keys, rules=(rule, *body.rules[1:]))
    successors = [card.key(DocumentClass.ROOT) for card in cards[: rule.threshold]]
    document = holders.sign(after, successors)
    others = [card for card in state.cards if card.kind != CardKind.ROOT]
    ordered = in_order([*others, *map(handed, cards)])
    return replace(without_strangers(state.with_document(document), after), cards=ordered)
