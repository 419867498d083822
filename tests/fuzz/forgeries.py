"""Changed copies of everything that is signed or sealed: none of them may be taken for another.

`python -m tests.fuzz.forgeries bundle 100000` makes so many changed copies of valid originals and
checks each as a receiver does. What is accepted must say what an original says. Where every byte is
authenticated that means the same bytes; documents may carry other signatures beside, and an ECDSA
signature has a twin, so of those the part that is signed is compared.
"""

from __future__ import annotations

import hashlib
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from cryptography import x509

from protocol import authority, bundle, canonical, enrolment, identity, issuing, stick
from protocol.armour import TextForm, armour
from protocol.bundle import Scope, Suite
from protocol.errors import AuthenticationError, MeshError
from protocol.ids import node_id_of
from protocol.knock import KnockGuard, is_tagged_untrusted
from protocol.limits import FRAME_BYTES_MAX, Kind
from tests.fuzz.mutators import Mutator
from tests.properties.node_parsers import KNOCK, KNOCK_KEYS, NAME, TAG
from tests.properties.parsers import ANCHORS, ANSWER, SLOTS
from tests.properties.receipt_parsers import RECEIPT
from tests.protocol import enrolling
from tests.protocol.enrolling import (
    BADGE,
    INVITATION,
    KEYS,
    NOW_MS,
    PREKEY,
    RECORD,
    REQUEST,
    ROOT_BODY,
    ROOT_DOCUMENT,
    ROSTER,
    SEALER,
    SECRET,
    ZONE,
)

__all__ = ["Forgery", "Thing", "attack", "main", "things"]


class Forgery(AssertionError):
    """A changed copy was accepted as something that nobody signed."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One kind of signed or sealed bytes."""

    originals: tuple[bytes, ...]
    """Valid ones."""
    check: Callable[[bytes], object]
    """Checks one as a receiver does. Raises: MeshError."""
    says: Callable[[bytes], bytes] = bytes
    """What of the bytes is authenticated; all of it if nothing else is given."""


def attack(thing: Thing, mutants: int, seed: int = 1) -> int:
    """Try `mutants` changed copies; return how many were accepted, all of which say the same.

    Raises: Forgery for one that says something else, and whatever is no MeshError.
    """
    mutator, accepted = Mutator(seed), 0
    known = {thing.says(raw) for raw in thing.originals}
    for number in range(mutants):
        raw = thing.originals[number % len(thing.originals)]
        while raw in thing.originals:
            raw = mutator.mutate(raw, thing.originals) if number % 4 == 0 else mutator.nudge(raw)
        try:
            thing.check(raw)
        except MeshError:
            continue
        accepted += 1
        if thing.says(raw) not in known:
            raise Forgery(raw.hex())
    return accepted


# --- bundles -----------------------------------------------------------------------------------


def _bundles() -> tuple[bytes, ...]:
    """Return a text, a receipt and slots of one author."""
    header = bundle.Header(
        suite=Suite.CHAIN,
        kind=Kind.TEXT,
        author=node_id_of(KEYS[0]),
        incarnation=7,
        seq=1,
        hlc=NOW_MS << 16,
        lifetime_s=600,
        scope=Scope.for_squad(ZONE, b"squad-id"),
        keyref=b"chain-id",
        index=3,
    )
    clear = replace(header, suite=Suite.CLEAR, kind=Kind.RECEIPT, keyref=b"", index=0, seq=2)
    keys = replace(header, suite=Suite.HYBRID, kind=Kind.CHAIN_KEYS, keyref=b"", index=0, seq=3)
    return tuple(
        bundle.build(head, body, BADGE.sign).raw
        for head, body in ((header, bytes(range(64))), (clear, RECEIPT), (keys, SLOTS))
    )


def _check_bundle(raw: bytes) -> object:
    read = bundle.decode_untrusted(raw)
    bundle.verify(read, bundle.load_public_key(KEYS[0]))
    return read


def _check_prekey(raw: bytes) -> object:
    return enrolment.read_prekey_untrusted(raw, KEYS[0], ZONE)


# --- documents ---------------------------------------------------------------------------------


def _check_document(raw: bytes) -> object:
    return authority.decide(None, authority.decode_untrusted(raw), ROOT_BODY)


def _signed_part(raw: bytes) -> bytes:
    return authority.decode_untrusted(raw).digest


# --- certificates ------------------------------------------------------------------------------


def _chain(raw: bytes) -> list[bytes]:
    value = canonical.decode_untrusted(raw, max_bytes=FRAME_BYTES_MAX)
    items = value if isinstance(value, tuple) else (value,)
    return [item for item in items if isinstance(item, bytes)]


def _check_badge(raw: bytes) -> object:
    return identity.verify_badge_untrusted(_chain(raw), ANCHORS, NOW_MS)


def _check_link(raw: bytes) -> object:
    return identity.verify_link_chain_untrusted(_chain(raw), ANCHORS, NOW_MS)


def _certified(raw: bytes) -> bytes:
    """Return what the authority signed of the leaf: key, name, rights, dates."""
    leaf = x509.load_der_x509_certificate(_chain(raw)[0])
    return hashlib.sha256(leaf.tbs_certificate_bytes).digest()


def _check_request_for(certificate: bytes) -> object:
    return issuing.read_request_untrusted(certificate, INVITATION.token)


# --- papers ------------------------------------------------------------------------------------


def _check_papers(raw: bytes) -> object:
    request = enrolment.decode_request_untrusted(armour(TextForm.REQUEST, raw))
    enrolment.check_request(request, INVITATION.secret)
    return request


def _check_answer(raw: bytes) -> object:
    answer = enrolment.decode_answer_untrusted(armour(TextForm.ANSWER, raw))
    return enrolling.accept(answer)


# --- sticks and links --------------------------------------------------------------------------


def _file() -> bytes:
    writer = stick.StickWriter([RECORD], SEALER, lambda count: bytes(range(count)))
    content = stick.encode_document(ROSTER) + stick.encode_bundle(3, _bundles()[0]) * 3
    sealed = b"".join(writer.feed(content)) + writer.finish()
    return writer.preamble + sealed


def _check_file(raw: bytes) -> object:
    length = stick.header_bytes_untrusted(raw[: stick.PREAMBLE_BYTES])
    start = stick.PREAMBLE_BYTES + length
    header = stick.decode_header_untrusted(raw[stick.PREAMBLE_BYTES : start])
    reader = stick.StickReader(header, stick.open_file_key(header, SECRET, SEALER))
    plain = reader.feed_untrusted(raw[start:])
    content = stick.ContentReader()
    items = [item for each in plain for item in content.feed_untrusted(each)]
    items += content.feed_untrusted(reader.finish_untrusted())
    content.finish_untrusted()
    return items


def _check_binding(raw: bytes) -> object:
    identity.verify_binding(KEYS[0], ANSWER.link_chain[0], raw)
    return None


def _check_knock(raw: bytes) -> object:
    KnockGuard().check_untrusted(raw, [NAME.encode()], KNOCK_KEYS, NOW_MS)
    return None


def _check_tag(raw: bytes) -> object:
    if not is_tagged_untrusted(raw, NAME.encode(), 7625, KNOCK_KEYS, NOW_MS):
        raise AuthenticationError("no member announced this")
    return None


def things() -> Mapping[str, Thing]:
    """Return all kinds by name."""
    binding = BADGE.sign(identity.binding_message(ANSWER.link_chain[0]))
    requests = (REQUEST.badge_request, REQUEST.link_request)
    return {
        "bundle": Thing(_bundles(), _check_bundle),
        "prekey": Thing((PREKEY,), _check_prekey),
        "document": Thing((ROSTER, ROOT_DOCUMENT.raw), _check_document, _signed_part),
        "badge": Thing((canonical.encode(ANSWER.badge_chain),), _check_badge, _certified),
        "link certificate": Thing((canonical.encode(ANSWER.link_chain),), _check_link, _certified),
        "certificate request": Thing(requests, _check_request_for),
        "enrolment request": Thing((REQUEST.encode(),), _check_papers),
        "enrolment answer": Thing((ANSWER.encode(),), _check_answer),
        "sealed file": Thing((_file(),), _check_file),
        "link binding": Thing((binding,), _check_binding),
        "knock": Thing((KNOCK,), _check_knock),
        "tag of an announcement": Thing((TAG,), _check_tag),
    }


def main(arguments: Sequence[str]) -> int:
    """Attack one thing; a forgery ends the program by its error."""
    # A certificate that is odd but readable gives a warning; here it may go on to the next check.
    warnings.simplefilter("ignore")
    name, mutants = arguments[0], int(arguments[1])
    started_s = time.monotonic()
    accepted = attack(things()[name], mutants)
    duration_s = time.monotonic() - started_s
    print(f"Done {mutants} runs in {duration_s:.0f} second(s), {accepted} said the same")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
