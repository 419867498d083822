"""How an authority begins: a region with its keys and cards, or a unit from a region's grant.

A folder is made under another name and renamed when it is whole, so a power cut leaves either no
authority or a whole one. Source: security 2.1, 2.2.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from meshnode.authority_cards import Card, CardKind, make_card, write_card
from meshnode.authority_documents import (
    ROOT_CARDS,
    WIPE_CARDS,
    first_root,
    handed,
    with_rosters,
)
from meshnode.authority_inviting import Entropy, tidy
from meshnode.authority_keys import AuthorityError, AuthorityKeys, HybridKey, check_passphrase
from meshnode.authority_records import encode_state
from meshnode.authority_state import AuthorityState
from meshnode.authority_units import UnitPending, unit_state
from meshnode.authority_waiting import Waiting, begin_waiting, open_waiting, save_waiting
from meshnode.files import make_private_folder, sync_folder, write_private
from protocol.authority import (
    DocumentClass,
    decode_root_untrusted,
    decode_untrusted,
)
from protocol.delegation import (
    UnitRequest,
    build_unit_request,
    decode_grant_untrusted,
    decode_unit_request_untrusted,
)
from protocol.documents import decode_name
from protocol.envelope import HpkeSealer
from protocol.errors import EnrolmentError, MalformedError
from protocol.issuing import make_regional, make_root
from protocol.network_keys import KEY_BYTES, Secrets, epoch_at

__all__ = ["Network", "accept_grant", "found_region", "load_unit_request", "request_unit"]

_PENDING_BYTES_MAX = 32_768


@dataclass(frozen=True, slots=True)
class Network:
    """What a new authority is for."""

    name: str
    """Name of the network, 1-64 bytes of UTF-8."""
    zone: int
    """1-65535."""
    centre_name: str
    """What the operations centre of the zone is called."""


# --- a region ----------------------------------------------------------------------------------


def found_region(
    home: Path,
    passphrase: str,
    network: Network,
    now_ms: int,
    entropy: Entropy,
    scrypt_cost: int | None,
) -> tuple[Path, ...]:
    """Make HOME/authority and HOME/cards; return the cards. See `AuthorityHome.create`."""
    network = Network(
        decode_name(tidy(network.name).encode(), "name of the network"),
        network.zone,
        decode_name(tidy(network.centre_name).encode(), "name of the zone"),
    )
    if not 1 <= network.zone <= 65_535:
        raise AuthorityError("a zone has a number from 1 to 65535")
    check_passphrase(passphrase)
    fresh = _fresh_folder(home)
    keys = AuthorityKeys.prepare(fresh, passphrase, entropy(16), scrypt_cost)
    cards = _first_cards(network.zone)
    state = _first_state(network, keys, cards, now_ms, entropy)
    _save_first(fresh, keys, state, entropy)
    places = tuple(home / "cards" / f"{card.label}.card" for card in cards)
    make_private_folder(home / "cards")
    for card, place in zip(cards, places, strict=True):
        write_card(place, card, passphrase, entropy, scrypt_cost)
    # The cards first: the root names them, and their keys are nowhere else.
    os.rename(fresh, home / "authority")
    sync_folder(home)
    return places


def _fresh_folder(home: Path) -> Path:
    folder, fresh = home / "authority", home / "authority.new"
    if folder.exists():
        raise AuthorityError(f"{folder} exists already: an authority is never overwritten")
    # Cards beside a half-made folder are its own; others belong to a folder that was moved away.
    if not fresh.exists() and any((home / "cards").glob("*.card")):
        raise AuthorityError(f"{home / 'cards'} holds the cards of an authority: move them first")
    shutil.rmtree(fresh, ignore_errors=True)
    make_private_folder(fresh)
    return fresh


def _first_cards(zone: int) -> list[Card]:
    shared = [
        make_card(kind, number, f"holder {number}", zone)
        for kind, count in ((CardKind.WIPE, WIPE_CARDS), (CardKind.ROOT, ROOT_CARDS))
        for number in range(1, count + 1)
    ]
    return [make_card(CardKind.OPERATOR, 1, "operator 1", zone), *shared]


def _first_state(
    network: Network,
    keys: AuthorityKeys,
    cards: Sequence[Card],
    now_ms: int,
    entropy: Entropy,
) -> AuthorityState:
    """Make and save the keys of the folder; return the state with the first documents.

    The anchor's key signs the region's certificates here and is kept nowhere: another region, or
    the next one, comes with an anchor of its own in a root that two holders sign.
    """
    root = make_root(now_ms)
    regional, roster = make_regional(root, network.zone, now_ms), HybridKey.generate()
    keys.write("regional", regional.key)
    keys.write_hybrid("documents", roster)
    root_document = first_root(
        network.name,
        root.certificate,
        roster.public,
        cards,
        now_ms,
    )
    week = epoch_at(now_ms)
    state = AuthorityState(
        zone=network.zone,
        centre_name=network.centre_name,
        secrets=Secrets(entropy(16), entropy(KEY_BYTES), week, entropy(KEY_BYTES), week),
        anchor=root.certificate,
        badge_issuer=regional.badge_issuer,
        link_issuer=regional.link_issuer,
        documents=(root_document,),
        cards=tuple(handed(card) for card in cards),
    )
    return with_rosters(state, lambda: roster.signers, now_ms).with_note(
        now_ms, "founded", network.name
    )


def _save_first(folder: Path, keys: AuthorityKeys, state: AuthorityState, entropy: Entropy) -> None:
    write_private(folder / "state", keys.seal(encode_state(state), entropy(12)))


# --- a unit ------------------------------------------------------------------------------------


def request_unit(
    home: Path, passphrase: str, now_ms: int, entropy: Entropy, scrypt_cost: int | None = None
) -> UnitRequest:
    """Make a leader's key in HOME/authority.request and return the request for its grant.

    A request that waited there is given up. Raises: AuthorityError if there is an authority
    already, or the passphrase is too short.
    """
    if (home / "authority").exists():
        raise AuthorityError(f"{home / 'authority'} exists already: rename it to ask again")
    folder, keys = begin_waiting(home, passphrase, entropy, scrypt_cost)
    key = ec.generate_private_key(ec.SECP256R1())
    secret, record = HpkeSealer().make_prekey(now_ms)
    request = build_unit_request(key, record, entropy(8))
    keys.write("unit", key)
    save_waiting(folder / "request", Waiting(keys, secret, request.text), entropy)
    return request


def load_unit_request(home: Path, passphrase: str) -> UnitPending:
    """Return the request that waits for its grant. Raises: AuthorityError, EnrolmentError."""
    return _pending(_opened(home, passphrase))


def _opened(home: Path, passphrase: str) -> Waiting:
    path = home / "authority.request" / "request"
    if not path.exists():
        raise EnrolmentError("no_request", "no request waits here: run 'authority unit-request'")
    return open_waiting(path, passphrase, _PENDING_BYTES_MAX)


def _pending(waiting: Waiting) -> UnitPending:
    request = decode_unit_request_untrusted(waiting.text)
    return UnitPending(waiting.keys.read_ec("unit"), waiting.secret, request)


def accept_grant(
    home: Path,
    passphrase: str,
    text: str,
    raws: Sequence[bytes],
    now_ms: int,
    entropy: Entropy,
) -> AuthorityState:
    """Make HOME/authority from a grant; `raws` are the documents that the leader's node holds.

    Raises: EnrolmentError, AuthorityError and the errors of what does not hold; then nothing
    is changed.
    """
    waiting, grant = _opened(home, passphrase), decode_grant_untrusted(text)
    pending, keys = _pending(waiting), waiting.keys
    if (home / "authority").exists():
        raise AuthorityError(f"{home / 'authority'} exists already: rename it to ask again")
    documents = [decode_untrusted(raw) for raw in raws]
    roots = [each for each in documents if each.cls is DocumentClass.ROOT]
    if len(roots) != 1:
        raise MalformedError("the documents of a node have one root")
    root = decode_root_untrusted(roots[0].body)
    state = unit_state(pending, grant, documents, root, now_ms)
    folder = home / "authority.request"
    _save_first(folder, keys, state.with_note(now_ms, "founded", ", ".join(state.squads)), entropy)
    os.rename(folder, home / "authority")
    sync_folder(home)
    (home / "authority" / "request").unlink()
    return state
