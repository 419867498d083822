"""Cards: files that hold the keys of one person, sealed under that person's passphrase.

An operator's card revokes and signs beacons; a wipe card gives one of two signatures to wipe
orders, a root card one of two to the documents that say who may sign what. A card remembers the
newest documents that it signed, so that no version is signed twice wherever it is used. It is
written by replacing the file, whole or not at all.
Source: security 2.1, 2.9.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from meshnode import authority_keys
from meshnode.authority_keys import (
    AuthorityError,
    DocumentKey,
    HybridKey,
    RootKey,
    check_passphrase,
    stretch,
)
from meshnode.files import write_carried
from protocol.authority import SignedDocument, decode_untrusted
from protocol.canonical import Value, as_array, as_bytes, as_text, as_uint, encode
from protocol.canonical import decode_untrusted as decode_record_untrusted
from protocol.documents import DocumentClass
from protocol.errors import RemoteProtocolError
from protocol.limits import DOCUMENT_BYTES_MAX, NAME_BYTES_MAX, SIGNERS_MAX

__all__ = ["Card", "CardKind", "make_card", "open_card", "read_card_label", "write_card"]

_MAGIC = "MESHCARD1"
_CARD_BYTES_MAX = 256_000
_MEMORY_MAX = 4


class CardKind(IntEnum):
    """What a card is for."""

    OPERATOR = 1
    """Revocations and beacons."""
    WIPE = 2
    """One of the signatures under wipe orders."""
    ROOT = 3
    """One of the signatures under root documents."""

    @property
    def classes(self) -> tuple[DocumentClass, ...]:
        """The classes of document that it signs, each with a key of its own."""
        return _CLASSES[self]


_CLASSES = {
    CardKind.OPERATOR: (DocumentClass.REVOCATION, DocumentClass.BEACON),
    CardKind.WIPE: (DocumentClass.WIPE,),
    CardKind.ROOT: (DocumentClass.ROOT,),
}


@dataclass(frozen=True, slots=True)
class Card:
    """A card that was opened."""

    kind: CardKind
    """What it is for."""
    number: int
    """1-16, counted by kind."""
    holder: str
    """Name of the person, 1-64 bytes of UTF-8."""
    zone: int
    """1-65535; the zone whose authority made it."""
    keys: tuple[DocumentKey, ...] = field(repr=False)
    """One for each class of its kind."""
    memory: tuple[SignedDocument, ...] = ()
    """The newest document of each class that it signed."""

    @property
    def label(self) -> str:
        """As people call it: `operator-1`, `wipe-2`, `root-3`."""
        return f"{self.kind.name.lower()}-{self.number}"

    @property
    def public(self) -> tuple[tuple[bytes, bytes], ...]:
        """Public keys, in the order of the classes; of a root card the first half is DER."""
        return tuple(key.public for key in self.keys)

    def key(self, cls: DocumentClass) -> DocumentKey:
        """Return the key for a class. Raises: AuthorityError if the card is of another kind."""
        if cls not in self.kind.classes:
            wanted = next(kind for kind in CardKind if cls in kind.classes)
            raise AuthorityError(
                f"this is the card '{self.label}': take one of kind '{wanted.name.lower()}'"
            )
        return self.keys[self.kind.classes.index(cls)]

    def last(self, cls: DocumentClass) -> SignedDocument | None:
        """Return the newest document of a class that this card signed."""
        return next((each for each in self.memory if each.cls is cls), None)

    def remembering(self, document: SignedDocument) -> Card:
        """Return the card with `document` as the newest of its class."""
        others = tuple(each for each in self.memory if each.cls is not document.cls)
        return replace(self, memory=(*others, document))


def make_card(kind: CardKind, number: int, holder: str, zone: int) -> Card:
    """Return a card with fresh keys."""
    made = _key_type(kind)
    return Card(kind, number, holder, zone, tuple(made.generate() for _ in kind.classes))


def _key_type(kind: CardKind) -> type[HybridKey] | type[RootKey]:
    return RootKey if kind is CardKind.ROOT else HybridKey


@dataclass(frozen=True, slots=True)
class _Cover:
    """The readable part of a card file, which is bound to the sealed part."""

    kind: CardKind
    number: int
    holder: str
    zone: int
    salt: bytes
    cost: int

    def encode(self) -> bytes:
        return encode(
            [
                _MAGIC.encode(),
                self.kind.value,
                self.number,
                self.holder.encode(),
                self.zone,
                self.salt,
                self.cost,
            ]
        )

    def cipher(self, passphrase: str) -> ChaCha20Poly1305:
        stretched = stretch(passphrase, self.salt, self.cost)
        domain = b"meshnode card 1\0" + bytes([self.kind, self.number])
        return ChaCha20Poly1305(HKDFExpand(hashes.SHA256(), 32, domain).derive(stretched))


def write_card(
    path: Path,
    card: Card,
    passphrase: str,
    entropy: Callable[[int], bytes],
    scrypt_cost: int | None = None,
) -> None:
    """Write `card` to `path`, sealed under the holder's passphrase.

    Raises: AuthorityError for a passphrase that is too short, or a place that takes no file.
    """
    check_passphrase(passphrase)
    cost = authority_keys.SCRYPT_COST if scrypt_cost is None else scrypt_cost
    cover = _Cover(card.kind, card.number, card.holder, card.zone, entropy(16), cost)
    public, nonce = cover.encode(), entropy(12)
    sealed = cover.cipher(passphrase).encrypt(nonce, _secret_record(card), public)
    try:
        write_carried(path, encode([public, nonce + sealed]))
    except OSError as error:
        raise AuthorityError(f"{path} cannot be written: {error.strerror}") from error


def _secret_record(card: Card) -> bytes:
    seeds: list[Value] = [list(key.seeds) for key in card.keys]
    return encode([1, seeds, [document.raw for document in card.memory]])


def read_card_label(path: Path) -> str:
    """Return what a card file says of itself without its passphrase, such as `wipe-2`.

    Raises: AuthorityError.
    """
    cover, _sealed = _parts(path)
    return f"{cover.kind.name.lower()}-{cover.number}"


def open_card(path: Path, passphrase: str) -> Card:
    """Return the card in `path`. Raises: AuthorityError for a wrong passphrase or damage."""
    cover, sealed = _parts(path)
    try:
        cipher = cover.cipher(passphrase)
        plain = cipher.decrypt(sealed[:12], sealed[12:], cover.encode())
    except (InvalidTag, ValueError) as error:
        raise AuthorityError("the passphrase of this card is wrong, or it is damaged") from error
    record = as_array(decode_record_untrusted(plain, max_bytes=_CARD_BYTES_MAX), "card", 3)
    as_uint(record[0], "version of the card", 1, 1)
    values = as_array(record[1], "keys of the card", len(cover.kind.classes))
    try:
        keys = tuple(_key(cover.kind, value) for value in values)
    except ValueError as error:
        raise AuthorityError(f"{path} is damaged: bring its copy") from error
    memory = as_array(record[2], "documents of the card", _MEMORY_MAX, 0)
    return Card(
        cover.kind,
        cover.number,
        cover.holder,
        cover.zone,
        keys,
        tuple(
            decode_untrusted(as_bytes(item, "document", DOCUMENT_BYTES_MAX, 1)) for item in memory
        ),
    )


def _key(kind: CardKind, value: Value) -> DocumentKey:
    pair = as_array(value, "key of the card", 2)
    length = 48 if kind is CardKind.ROOT else 32
    return _key_type(kind).from_seeds(
        as_bytes(pair[0], "seed", length), as_bytes(pair[1], "seed", 32)
    )


def _parts(path: Path) -> tuple[_Cover, bytes]:
    try:
        with path.open("rb") as file:
            raw = file.read(_CARD_BYTES_MAX + 1)
    except OSError as error:
        raise AuthorityError(f"{path} cannot be read: bring the card") from error
    try:
        outer = as_array(decode_record_untrusted(raw, max_bytes=_CARD_BYTES_MAX), "card", 2)
        public = as_bytes(outer[0], "cover of the card", 256, 1)
        return _cover(public), as_bytes(outer[1], "sealed part", _CARD_BYTES_MAX, 28)
    except (RemoteProtocolError, ValueError) as error:
        raise AuthorityError(f"{path} is no card, or it is damaged") from error


def _cover(public: bytes) -> _Cover:
    record = as_array(decode_record_untrusted(public, max_bytes=256), "cover", 7)
    if as_bytes(record[0], "word", 16, 1) != _MAGIC.encode():
        raise ValueError("not the word of a card")
    return _Cover(
        CardKind(as_uint(record[1], "kind")),
        as_uint(record[2], "number", SIGNERS_MAX, 1),
        as_text(record[3], "holder", NAME_BYTES_MAX),
        as_uint(record[4], "zone", 65_535, 1),
        as_bytes(record[5], "salt", 16),
        as_uint(record[6], "cost", 2**20, 2),
    )
