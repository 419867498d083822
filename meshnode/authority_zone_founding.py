"""How the folder of a further zone begins: its keys and a request, then the answer that makes it.

The keys lie in HOME/authority.request until the answer is there; the folder is renamed when it is
whole, so a power cut leaves either a request that waits or a whole authority. The card of the
zone's operator is made with the request, whose keys it names. Source: security 2.1, 2.2.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from meshnode.authority_cards import CardKind, make_card, open_card, write_card
from meshnode.authority_documents import handed
from meshnode.authority_inviting import Entropy, tidy
from meshnode.authority_keys import AuthorityError, HybridKey
from meshnode.authority_records import encode_state
from meshnode.authority_state import AuthorityState
from meshnode.authority_waiting import Waiting, begin_waiting, open_waiting, save_waiting
from meshnode.authority_zones import ZonePending, zone_state
from meshnode.files import make_private_folder, sync_folder, write_private
from protocol.documents import decode_name
from protocol.envelope import HpkeSealer
from protocol.errors import EnrolmentError
from protocol.zones import (
    ZoneAnswer,
    ZoneRequest,
    ZoneSigners,
    build_zone_request,
    decode_zone_request_untrusted,
)

__all__ = ["accept_zone", "load_zone_request", "request_zone"]

_PENDING_BYTES_MAX = 65_536
_CARD = "operator-1.card"


def request_zone(
    home: Path,
    passphrase: str,
    place: tuple[int, str],
    now_ms: int,
    entropy: Entropy,
    scrypt_cost: int | None = None,
) -> ZoneRequest:
    """Make a zone's keys in HOME/authority.request and return the request to be certified.

    `place` is the zone (1-65535) and the name of its centre. A request that waited there is given
    up. Raises: AuthorityError if there is an authority or its cards already, the number is none or
    the passphrase is too short; MalformedError, LimitExceededError for an odd name.
    """
    zone, name = place[0], decode_name(tidy(place[1]).encode(), "name of the zone")
    if not 1 <= zone <= 65_535:
        raise AuthorityError("a zone has a number from 1 to 65535")
    if (home / "authority").exists():
        raise AuthorityError(f"{home / 'authority'} exists already: take a fresh folder")
    if any((home / "cards").glob("*.card")):
        raise AuthorityError(f"{home / 'cards'} holds the cards of an authority: move them first")
    folder, keys = begin_waiting(home, passphrase, entropy, scrypt_cost)
    key, documents = ec.generate_private_key(ec.SECP256R1()), HybridKey.generate()
    card = make_card(CardKind.OPERATOR, 1, "operator 1", zone)
    secret, record = HpkeSealer().make_prekey(now_ms)
    revocation, beacon = card.public
    signers = ZoneSigners(documents.public, ((revocation, beacon),))
    request = build_zone_request((zone, name), key, record, signers)
    keys.write("regional", key)
    keys.write_hybrid("documents", documents)
    write_card(folder / _CARD, card, passphrase, entropy, keys.scrypt_cost)
    save_waiting(folder / "zone-request", Waiting(keys, secret, request.text), entropy)
    return request


def load_zone_request(
    home: Path, passphrase: str, folder: str = "authority.request"
) -> ZonePending:
    """Return the request that waits for its answer, of a new zone or of one that has `authority`.

    Raises: AuthorityError, EnrolmentError.
    """
    return _pending(_opened(home, passphrase, folder))


def _opened(home: Path, passphrase: str, folder: str = "authority.request") -> Waiting:
    path = home / folder / "zone-request"
    if not path.exists():
        raise EnrolmentError("no_request", "no request waits here: run 'authority zone request'")
    return open_waiting(path, passphrase, _PENDING_BYTES_MAX)


def _pending(waiting: Waiting) -> ZonePending:
    return ZonePending(
        waiting.keys.read_ec("regional"),
        waiting.keys.read_hybrid("documents"),
        waiting.secret,
        decode_zone_request_untrusted(waiting.text),
    )


def accept_zone(
    home: Path, passphrase: str, answer: ZoneAnswer, now_ms: int, entropy: Entropy
) -> tuple[AuthorityState, Path]:
    """Make HOME/authority of an answer whose digits people compared; return it and the card.

    Raises: EnrolmentError, AuthorityError and the errors of what does not hold; then nothing is
    changed.
    """
    waiting, folder = _opened(home, passphrase), home / "authority.request"
    pending, keys = _pending(waiting), waiting.keys
    if (home / "authority").exists():
        raise AuthorityError(f"{home / 'authority'} exists already: take a fresh folder")
    state = zone_state(pending, answer, now_ms, entropy)
    made, place = folder / _CARD, home / "cards" / _CARD
    make_private_folder(place.parent)
    if made.exists():
        os.rename(made, place)
        sync_folder(place.parent)
    state = replace(state, cards=(handed(open_card(place, passphrase)),))
    state = state.with_note(now_ms, "founded", state.root_body.network_name)
    write_private(folder / "state", keys.seal(encode_state(state), entropy(12)))
    os.rename(folder, home / "authority")
    sync_folder(home)
    (home / "authority" / "zone-request").unlink()
    return state, place
