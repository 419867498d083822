"""A month of a network that never was, in two forms: for an archive, and for slow counting."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from meshnode.gateway.archive.records import Taken
from meshnode.vault.kinds import DAY_MS
from protocol import payloads
from protocol.alarms import Step
from protocol.bundle import Header, Scope, Suite, build
from protocol.hlc import pack
from protocol.ids import BundleId, NodeId, squad_id_of
from protocol.limits import Kind
from protocol.payloads import Position, Sos, State
from protocol.receipts import encode_receipt, make_receipt
from protocol.states import Bearer, Coverage
from tests.meshnode.gateway.parts import NOW_MS, TODAY, node

__all__ = ["DAYS", "FIRST_DAY", "SIZES", "Month", "month"]

DAYS = 6
FIRST_DAY = TODAY - DAYS
DEVICES = 24
MINUTE_MS = 60_000
SQUADS = [Scope.for_squad(zone, squad_id_of(zone, name)) for zone, name in ((1, "A"), (2, "B"))]
SIZES = {SQUADS[0].encode(): 7}
KINDS = (Kind.TEXT, Kind.TEXT, Kind.POSITION, Kind.CHUNK, Kind.SHIFT, Kind.SOS)
WORDS = "Évacuation de Claire Martin au refuge"


@dataclass
class Month:
    """What was put in."""

    taken: list[Taken] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    receipted: set[tuple[bytes, int]] = field(default_factory=set)
    raised: dict[Any, list[dict[str, Any]]] = field(default_factory=dict)
    took: dict[Any, list[dict[str, Any]]] = field(default_factory=dict)
    places: list[dict[str, Any]] = field(default_factory=list)
    looks: list[dict[str, Any]] = field(default_factory=list)


def month(seed: int) -> Month:
    """Return six days of twenty-four devices, some of them with wrong clocks."""
    dice, made = random.Random(seed), Month()
    for seq in range(1, 1_200):
        _bundle(made, dice, seq)
    _receipts(made, dice)
    _alarms(made, dice)
    _looks(made, dice)
    return made


def _put(made: Month, taken: Taken) -> None:
    made.taken.append(taken)
    if not taken.is_content:
        day = min(taken.created_ms, taken.at_ms) // DAY_MS
        scope = Scope.decode_untrusted(taken.scope)
        made.rows.append(
            {
                "author": bytes(taken.name.author),
                "seq": taken.name.seq,
                "kind": taken.kind,
                "scope": scope,
                "day": day,
                "created_ms": taken.created_ms,
                "arrived_ms": taken.at_ms,
                "expires_ms": taken.expires_ms,
            }
        )


def _bundle(made: Month, dice: random.Random, seq: int) -> None:
    # Rare days, kinds and zones have few authors, so that groups of every size come up.
    day = min(int(dice.expovariate(0.7)), DAYS - 1)
    device = dice.randrange(3) if day == DAYS - 2 else dice.randrange(DEVICES)
    created_ms = NOW_MS - day * DAY_MS - dice.randrange(DAY_MS // 2)
    late_ms = int(dice.lognormvariate(10, 2)) - (DAY_MS // 4 if device == 5 else 0)
    late_ms = dice.choice((late_ms, late_ms, -3_000, -5_000, -5_001))
    scope = dice.choice(
        (*SQUADS, Scope.for_codt(1), Scope.for_zone(1), Scope.for_device(1, node(device + 1)))
    )
    if device < 3:
        scope = Scope.for_squad(3, squad_id_of(3, "C"))
    raw = WORDS.encode()
    at_ms = min(created_ms + late_ms, NOW_MS)
    name = BundleId(node(device), 7, seq)
    life_ms = dice.choice((DAY_MS, 9 * DAY_MS))
    kind = dice.choice(KINDS)
    _put(
        made,
        Taken(
            False, name, bytes(32), kind, scope.encode(), created_ms, created_ms + life_ms, at_ms,
            1, raw,
        ),
    )  # fmt: skip


def _receipts(made: Month, dice: random.Random) -> None:
    rows = list(made.rows)
    for number in range(40):
        author = dice.choice(rows)["author"]
        page = dice.randrange(2)
        own = [row["seq"] for row in rows if row["author"] == author and row["seq"] // 1024 == page]
        seqs = dice.sample(own, len(own) // 2)
        if not seqs:
            continue
        by = node(dice.randrange(DEVICES))
        receipt = make_receipt(7, page, {seq: bytes(32) for seq in seqs})
        at_ms = NOW_MS - number * DAY_MS // 20
        header = Header(
            Suite.CLEAR, Kind.RECEIPT, by, 7, 5_000 + number, pack(at_ms, 0), 86_400,
            Scope.for_device(1, NodeId(author)), b"", page,
        )  # fmt: skip
        raw = build(header, encode_receipt(receipt), lambda _message: bytes(64)).raw
        if by != author:
            made.receipted |= {(author, seq) for seq in seqs}
        scope = header.scope.encode()
        name = BundleId(by, 7, header.seq)
        _put(
            made,
            Taken(
                False, name, bytes(32), Kind.RECEIPT, scope, at_ms, at_ms + DAY_MS, at_ms, 1, raw
            ),
        )


def _content(
    made: Month, device: NodeId, payload: payloads.Payload, kind: Kind, at: tuple[int, int]
) -> None:
    seq = 20_000 + len(made.taken)
    name = BundleId(device, 7, seq)
    raw, scope = payloads.encode(payload), payload.scope
    made.taken.append(Taken(True, name, b"", kind, scope, at[0], at[0] + DAY_MS, at[1], 0, raw))


def _alarms(made: Month, dice: random.Random) -> None:
    scope = Scope.for_zone(1).encode()
    for number in range(40):
        raiser, alarm = node(dice.randrange(DEVICES)), number.to_bytes(8, "big")
        created_ms = NOW_MS - dice.randrange(3 * DAY_MS) - DAY_MS // 2
        at_ms = created_ms + dice.randrange(20 * MINUTE_MS)
        for again in range(dice.randrange(1, 3)):
            sos = Sos(raiser, scope, WORDS, alarm, int(Step.RAISED), number=again)
            at = (created_ms + again * MINUTE_MS, at_ms + again * MINUTE_MS)
            _content(made, raiser, sos, Kind.SOS, at)
            made.raised.setdefault(alarm, []).append({"at_ms": at[1]})
        if number % 4 == 0:
            continue
        helper = node(dice.randrange(DEVICES))
        step = dice.choice((Step.TAKEN, Step.ON_SCENE, Step.SEEN))
        at = (created_ms + dice.randrange(MINUTE_MS, 90 * MINUTE_MS), 0)
        at = (at[0], at[0] + dice.randrange(9_000))
        sos = Sos(helper, scope, "", alarm, int(step), raiser=raiser)
        _content(made, helper, sos, Kind.SOS, at)
        if step is not Step.SEEN and helper != raiser:
            made.took.setdefault(alarm, []).append({"at_ms": at[1]})


def _looks(made: Month, dice: random.Random) -> None:
    scope = SQUADS[0].encode()
    for _ in range(500):
        device = dice.randrange(DEVICES)
        at_ms = NOW_MS - dice.randrange(2 * DAY_MS) - DAY_MS // 2
        # Two squares that many visit, and one for each device.
        latitude, longitude = dice.choice(
            ((44.7123456, 6.8123456), (-20.9512345, 55.2512345), (40 + device, -1.5))
        )
        place = round(latitude * 10**7), round(longitude * 10**7)
        position = Position(node(device), scope, at_ms, *place, 50)
        _content(made, node(device), position, Kind.POSITION, (at_ms, at_ms))
        day = at_ms // DAY_MS
        square = (place[0] // 10**6, place[1] // 10**6)
        told = {"author": bytes(node(device)), "taken_ms": at_ms, "square": square, "day": day}
        made.places.append(told)
        look_ms = at_ms + dice.randrange(-20, 20) * MINUTE_MS
        bearer = dice.choice(list(Bearer))
        state = State(node(device), scope, None, Coverage(look_ms, bearer), 0)
        _content(made, node(device), state, Kind.STATE, (at_ms + 1, at_ms + 1))
        look = {"author": bytes(node(device)), "read_ms": look_ms, "bearer": bearer, "day": day}
        made.looks.append(look)
