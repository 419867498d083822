"""What a wiped device keeps until somebody has its proof: one record and one link key.

The record names its documents (root, orders, proofs), its certificates, the knock keys of these
weeks and where somebody may be met; no roster, no name, no other key. It is written last, whole
or not at all, before anything is destroyed: with it the wipe can no longer be stopped.
Source: security 2.9, wire-format 7.9, 7.11.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from meshnode.files import erase, make_private_folder, sync_folder, write_private
from protocol.canonical import Value, as_array, as_bytes, as_uint, decode_untrusted, encode
from protocol.errors import MalformedError, RemoteProtocolError
from protocol.guards import REMNANT_BYTES_MAX, REMNANT_ORDERS_MAX, REMNANT_PLACES_MAX
from protocol.ids import NodeId
from protocol.limits import (
    CERTIFICATE_BYTES_MAX,
    CERTIFICATES_PER_CHAIN_MAX,
    DOCUMENT_BYTES_MAX,
)

__all__ = ["Remnant", "RemnantFiles"]

_VERSION: Final = 1
_KNOCK_KEYS_MAX: Final = 64
_PLACE_BYTES_MAX: Final = 256
_PASSWORD_BYTES: Final = 64
_TEXT: Final = "utf-8"


@dataclass(frozen=True, slots=True)
class Remnant:
    """The record of a wiped device."""

    node: NodeId
    """16 bytes; its certificates say the same."""
    documents: tuple[bytes, ...]
    """Root, the orders that name the device, and its proofs; raw, in this order."""
    badge_chain: tuple[bytes, ...]
    """DER, badge first; shown in HELLO."""
    link_chain: tuple[bytes, ...]
    """DER, link certificate first; shown by TLS."""
    binding: bytes
    """64 bytes: the badge's word for the link certificate."""
    password: bytes = field(repr=False)
    """Opens the link key beside the record."""
    knock_keys: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    """(id, key) of the weeks that were known; without them nobody opens the door."""
    listen: tuple[str, ...]
    """Where the device listened."""
    places: tuple[str, ...]
    """Where others may be met: configured ones, and those met last."""
    has_multicast: bool
    """Others are looked for by multicast."""
    has_probe: bool
    """Others are looked for one by one."""

    def encode(self) -> bytes:
        """Return the canonical record."""
        return encode(
            [
                _VERSION,
                self.node,
                self.documents,
                self.badge_chain,
                self.link_chain,
                self.binding,
                self.password,
                [[key_id, key] for key_id, key in self.knock_keys],
                [each.encode(_TEXT) for each in self.listen],
                [each.encode(_TEXT) for each in self.places],
                int(self.has_multicast),
                int(self.has_probe),
            ]
        )

    @classmethod
    def decode(cls, raw: bytes) -> Remnant:
        """Read the record of this very device. Raises: MalformedError, LimitExceededError."""
        record = as_array(decode_untrusted(raw, max_bytes=REMNANT_BYTES_MAX), "remnant", 12)
        as_uint(record[0], "version of the remnant", _VERSION, _VERSION)
        raws = as_array(record[2], "documents", 2 * REMNANT_ORDERS_MAX + 1, 1)
        return cls(
            node=as_bytes(record[1], "device", 16),
            documents=tuple(as_bytes(each, "document", DOCUMENT_BYTES_MAX, 1) for each in raws),
            badge_chain=_chain(record[3]),
            link_chain=_chain(record[4]),
            binding=as_bytes(record[5], "binding signature", 64),
            password=as_bytes(record[6], "password", _PASSWORD_BYTES),
            knock_keys=tuple(map(_knock_key, as_array(record[7], "keys", _KNOCK_KEYS_MAX, 0))),
            listen=_texts(record[8]),
            places=_texts(record[9]),
            has_multicast=bool(as_uint(record[10], "multicast", 1)),
            has_probe=bool(as_uint(record[11], "probe", 1)),
        )


def _chain(value: Value) -> tuple[bytes, ...]:
    items = as_array(value, "certificates", CERTIFICATES_PER_CHAIN_MAX, 1)
    return tuple(as_bytes(item, "certificate", CERTIFICATE_BYTES_MAX, 1) for item in items)


def _knock_key(value: Value) -> tuple[bytes, bytes]:
    pair = as_array(value, "key", 2)
    return as_bytes(pair[0], "id of a key", 8), as_bytes(pair[1], "key", 32)


def _texts(value: Value) -> tuple[str, ...]:
    items = as_array(value, "places", REMNANT_PLACES_MAX, 0)
    try:
        return tuple(as_bytes(item, "place", _PLACE_BYTES_MAX, 1).decode(_TEXT) for item in items)
    except UnicodeDecodeError as error:
        raise MalformedError("a place is no text") from error


@dataclass(frozen=True, slots=True)
class RemnantFiles:
    """The folder of the remnant in one home."""

    home: Path
    """The home."""

    @property
    def folder(self) -> Path:
        """Holds nothing else."""
        return self.home / "remnant"

    @property
    def record(self) -> Path:
        """The record; while it is there the remnant lives."""
        return self.folder / "record"

    @property
    def link_key(self) -> Path:
        """The link key, wrapped anew: PKCS#8 in PEM, encrypted."""
        return self.folder / "link.pem"

    @property
    def link_chain(self) -> Path:
        """Link certificate and its issuers, PEM."""
        return self.folder / "link-chain.pem"

    def write(self, remnant: Remnant, link_key: bytes, link_chain: bytes) -> None:
        """Keep a remnant with its key and chain in PEM, the record last. Raises: OSError."""
        make_private_folder(self.folder)
        sync_folder(self.home)
        write_private(self.link_key, link_key)
        write_private(self.link_chain, link_chain)
        write_private(self.record, remnant.encode())

    def read(self) -> Remnant | None:
        """Return the remnant, None where there is none, or it is damaged."""
        try:
            return Remnant.decode(self.record.read_bytes())
        except (OSError, RemoteProtocolError):
            return None

    def erase(self) -> None:
        """End the remnant: its record goes first, so that this is finished at the next start.

        Raises: OSError.
        """
        for path in (self.record, self.link_key, self.link_chain):
            erase(path)
