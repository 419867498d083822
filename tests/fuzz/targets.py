"""The parsers in groups, one fuzzing run each, and the inputs that each group starts from.

A group is named by what a peer sends. Every parser of the table is in exactly one: a parser of a
module that nobody placed is in `others`, so that nothing new goes unfuzzed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.properties.node_parsers import ALL_PARSERS
from tests.properties.table import Parser

__all__ = [
    "CHOICE_BYTES",
    "DEAR",
    "DEAR_SHARE",
    "GROUPS",
    "Group",
    "group_of",
    "groups",
    "vectors",
]

CHOICE_BYTES = 2
OTHERS = "others"
GROUPS: Mapping[str, tuple[str, ...]] = {
    "frames": (
        "session.frames.",
        "session.exchange.",
        "session.sync.SyncSession.receive_data",
        "meshnode.dump._frames_untrusted",
    ),
    "session payloads": ("session.messages.", "session.transfer.", "reconcile."),
    "session states": ("session.sync.", "session.reconciliation.", "session.rounds."),
    "bundles": (
        "bundle.",
        "envelope.",
        "payloads.",
        "receipts.",
        "cancels.",
        "uplinks.",
        "track_bodies.",
        "meshnode.reception.",
        "meshnode.links.inbound.",
        "meshnode.explain.bundle_untrusted",
    ),
    "documents": ("authority.", "documents.", "meshnode.explain.document_untrusted"),
    "sticks": ("stick.", "meshnode.stick.", "meshnode.dump._stick_untrusted"),
    "papers": ("enrolment.", "issuing.", "armour.", "meshnode.explain."),
    "certificates": (
        "identity.",
        "certificates.",
        "meshnode.links.tls.",
        "meshnode.explain.certificate_untrusted",
    ),
    "sheets": ("sheets.", "meshnode.viewer."),
    "knocks and discovery": ("knock.", "meshnode.discovery."),
    OTHERS: ("",),
}
"""Beginnings of the names of the parsers in a group; of several that fit, the longest counts."""

_VECTORS: Mapping[str, tuple[str, ...]] = {
    "frames": ("frames",),
    "session payloads": ("frame_payloads", "symbols"),
    "session states": ("frame_payloads", "symbols"),
    "bundles": (
        *("bundle", "payload", "prekey", "receipt", "cancel", "key_request"),
        *("scope", "slots", "slot_secret", "sos", "track_body"),
    ),
    "documents": ("document",),
    "papers": ("papers",),
    "sheets": ("catalogue",),
    OTHERS: ("canonical", "names", "scope"),
}
"""Files of vectors whose inputs a group starts from, beside the seeds of the table."""

_SLOW = ("session.rounds.", "session.reconciliation.", "session.sync.SyncSession.receive_data")
"""Parsers that are reached through a whole session, at a quarter of a millisecond each."""
DEAR = (
    "session.rounds.InitiatorRound.on_symbols_untrusted",
    "session.sync.SyncSession.receive_data",
    "tracks.decode_points_untrusted",
)
"""Parsers that cost ten times what the others of their group cost where they are watched."""
DEAR_SHARE = 8
"""One in so many of the inputs that the fuzzer makes for a dear parser stays with it."""
_TICKETS = 4
_SEED_BYTES_MAX = 4_096


@dataclass(frozen=True, slots=True)
class Group:
    """One fuzzing run."""

    name: str
    """As in `GROUPS`."""
    parsers: tuple[Parser, ...]
    """All of it, each once."""
    tickets: tuple[Parser, ...]
    """What the first two bytes of an input choose from: those that are slow stand here once."""

    def parser(self, data: bytes) -> Parser:
        """Return the parser that an input is for."""
        return self.tickets[int.from_bytes(data[:CHOICE_BYTES], "big") % len(self.tickets)]

    def steered(self, data: bytes, seed: int) -> bytes:
        """Return `data`, for another parser if it is one too many for a dear one.

        The fuzzer follows what reaches most lines, so it would spend nine tenths of its time on
        the dearest. An input names its parser, so it does the same whenever it is run.
        """
        if len(data) < CHOICE_BYTES or not seed % DEAR_SHARE:
            return data
        if not self.parser(data).name.startswith(DEAR):
            return data
        cheap = [
            number for number, parser in enumerate(self.tickets) if not parser.name.startswith(DEAR)
        ]
        chosen = cheap[seed // DEAR_SHARE % len(cheap)]
        return chosen.to_bytes(CHOICE_BYTES, "big") + data[CHOICE_BYTES:]

    def run(self, data: bytes) -> None:
        """Run one input. Raises: whatever its parser should not."""
        if len(data) < CHOICE_BYTES:
            return
        parser = self.parser(data)
        try:
            parser.read(data[CHOICE_BYTES:])
        except parser.errors:
            return

    def inputs(self) -> list[bytes]:
        """Return what to start from: each parser's seeds, and the vectors for all of them."""
        found: dict[bytes, None] = {}
        place = {id(parser): number for number, parser in enumerate(self.tickets)}
        extra = list(vectors(self.name))
        for parser in self.parsers:
            choice = place[id(parser)].to_bytes(CHOICE_BYTES, "big")
            found |= {choice + seed: None for seed in (*parser.seeds, *extra)}
        return list(found)


def group_of(name: str) -> str:
    """Return the group that a parser belongs to."""
    fitting = [
        (len(start), group)
        for group, starts in GROUPS.items()
        for start in starts
        if name.startswith(start)
    ]
    return max(fitting)[1]


def groups() -> dict[str, Group]:
    """Return all groups by name."""
    made = {}
    for group in GROUPS:
        parsers = tuple(each for each in ALL_PARSERS if group_of(each.name) == group)
        tickets = [
            parser
            for parser in parsers
            for _ in range(1 if parser.name.startswith(_SLOW) else _TICKETS)
        ]
        made[group] = Group(group, parsers, tuple(tickets))
    return made


def vectors(group: str) -> Iterator[bytes]:
    """Yield the bytes in the vectors that belong to a group, accepted and refused ones alike."""
    folder = Path(__file__).resolve().parent.parent / "vectors"
    for name in _VECTORS.get(group, ()):
        read = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        for case in read["vectors"]:
            yield from (found for found in _bytes_in(case["input"]) if found)


def _bytes_in(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _bytes_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _bytes_in(item)
    elif isinstance(value, str) and len(value) <= 2 * _SEED_BYTES_MAX:
        try:
            yield bytes.fromhex(value)
        except ValueError:
            yield value.encode()
