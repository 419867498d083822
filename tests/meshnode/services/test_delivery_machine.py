"""Over any order of sending, carrying, reading, resending, cancelling and restarts the ledger tells
the truth: shown once or never, states that only rise, and read or withdrawn but never both.

The model is what a person standing beside every device would note. A restart builds a node anew
over its store. Beside the store's own states a slow reducer folds the lines of each ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from meshnode.errors import SendError
from meshnode.node import open_node
from meshnode.outbox import Sent
from meshnode.services.recalling import family, states
from meshnode.store.recipients import RANKS, joined
from meshnode.store.records import LedgerEntry, LedgerEvent, RecipientState
from protocol.identity import Role
from protocol.ids import NodeId
from sims.fleet import DevicePlan
from tests.meshnode.rig import SQUAD, Rig, open_rig, squad_scope

pytestmark = pytest.mark.slow

PLANS = (
    DevicePlan("anna", Role.AGENT, (SQUAD,)),
    DevicePlan("bruno", Role.AGENT, (SQUAD,)),
    DevicePlan("carla", Role.AGENT, (SQUAD,)),
    DevicePlan("box", Role.RELAY, (SQUAD,)),
)
NAMES = tuple(plan.name for plan in PLANS)
READERS = ("bruno", "carla")
WHICH = st.integers(0, 2)
"""One of the messages so far, counted round."""

STEPS = st.one_of(
    st.tuples(st.just("send"), st.sampled_from(["squad", "bruno"])),
    st.tuples(st.just("resend"), WHICH),
    st.tuples(st.just("cancel"), WHICH),
    st.tuples(st.just("read"), st.sampled_from(READERS)),
    st.tuples(st.just("carry"), st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES))),
    st.tuples(st.just("carry"), st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES))),
    st.tuples(st.just("restart"), st.sampled_from(NAMES)),
)


@dataclass(slots=True)
class Model:
    """What happened before people's eyes."""

    sent: list[tuple[int, str]] = field(default_factory=list)
    """Local number and text of anna's messages."""
    cancelled: set[str] = field(default_factory=set)
    """Texts that anna took back."""
    shown: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often (reader, text) was shown."""
    ranks: dict[tuple[str, str], int] = field(default_factory=dict)
    """The highest rank that anna ever knew, by (reader, text)."""


def reduced(lines: Iterable[LedgerEntry], node: NodeId) -> RecipientState:
    """Fold a ledger into what is known of one recipient: slow, and by lines alone."""
    words = [
        RecipientState(e.detail) for e in lines if e.event is LedgerEvent.RECEIPT and e.node == node
    ]
    return max(words, key=RANKS.__getitem__, default=RecipientState.PENDING)


async def refusal(call: Awaitable[Sent]) -> str:
    """Return why a call was refused; empty where it was not."""
    try:
        await call
    except SendError as error:
        return error.reason
    return ""


async def step(rig: Rig, model: Model, name: str, argument: object) -> None:
    """Do one step at the nodes, and note what people see."""
    anna = rig["anna"]
    match name, argument:
        case "send", str(to):
            text = f"message {len(model.sent)}"
            sent = await anna.send(squad_scope() if to == "squad" else rig[to].scope, text)
            model.sent.append((sent.key, text))
        case "resend", int(which) if model.sent:
            key, text = model.sent[which % len(model.sent)]
            reason = await refusal(anna.node.outbox.resend(key))
            assert reason in ("", "nobody", "cancelled", "copies")
            assert (reason == "cancelled") is (text in model.cancelled)
        case "cancel", int(which) if model.sent:
            key, text = model.sent[which % len(model.sent)]
            if await anna.node.outbox.cancel(key):
                model.cancelled.add(text)
        case "read", str(who):
            await read(rig, model, who)
        case "carry", (str(source), str(target)) if source != target:
            await rig.carry(source, target)
        case "restart", str(who):
            async with open_node(rig[who].parts) as node:
                rig[who].node = node
    await rig["anna"].node.settle()


async def read(rig: Rig, model: Model, who: str) -> None:
    """Somebody looks at a screen: what is new there was shown now."""
    for message in await rig[who].incoming():
        if await rig[who].node.require_desk().reading.mark_read(message.key):
            model.shown[who, message.text] += 1


async def check(rig: Rig, model: Model) -> None:
    """Compare every device with what people saw."""
    anna = rig["anna"]
    assert all(count == 1 for count in model.shown.values())
    for who in READERS:
        texts = await rig[who].texts()
        assert len(set(texts)) == len(texts), "shown twice"
        assert {text for name, text in model.shown if name == who} <= set(texts)
    for key, text in model.sent:
        group = await anna.store.read(lambda conn, key=key: family(conn, key))  # type: ignore[misc]
        known = await anna.store.read(lambda conn, group=group: states(conn, group))  # type: ignore[misc]
        for who in READERS:
            if rig[who].id in known:
                check_one(model, who, text, known[rig[who].id][0])
        for record in group:
            lines = await anna.ledger(record.key)
            for each in await anna.recipients(record.key):
                folded = reduced(lines, each.node)
                assert joined(folded, each.state) is each.state
                assert folded is each.state or folded is RecipientState.PENDING


def check_one(model: Model, who: str, text: str, state: RecipientState) -> None:
    """A state says only what is so, and never goes back."""
    rank, before = RANKS[state], model.ranks.get((who, text), 0)
    assert rank >= before, (who, text, state)
    model.ranks[who, text] = rank
    if state is RecipientState.READ:
        assert model.shown[who, text] == 1
    if state is RecipientState.WITHDRAWN:
        assert text in model.cancelled
        assert model.shown[who, text] == 0


async def check_end(rig: Rig, model: Model) -> None:
    """Once everybody has met everybody, the matrix is what people saw, and no copy travels."""
    await rig.mix(*NAMES)
    for who in READERS:
        await read(rig, model, who)
    await rig.mix(*NAMES)
    await check(rig, model)
    anna = rig["anna"]
    for key, text in model.sent:
        group = await anna.store.read(lambda conn, key=key: family(conn, key))  # type: ignore[misc]
        known = await anna.store.read(lambda conn, group=group: states(conn, group))  # type: ignore[misc]
        for node, (state, _at_ms) in known.items():
            (who,) = [each for each in READERS if rig[each].id == node]
            was_shown = model.shown[who, text] == 1
            if was_shown:
                assert state is RecipientState.READ
            else:
                assert text in model.cancelled
                assert state in (RecipientState.WITHDRAWN, RecipientState.REFUSED)


async def play(steps: list[tuple[str, object]]) -> Model:
    """Play steps on a fresh rig."""
    async with open_rig(PLANS) as rig:
        await rig.mix(*NAMES)
        model = Model()
        for name, argument in steps:
            await step(rig, model, name, argument)
            await check(rig, model)
        await check_end(rig, model)
        return model


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=16))
def test_the_ledger_tells_what_people_saw(steps: list[tuple[str, object]]) -> None:
    trio.run(play, steps, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("order", [("box", "copy"), ("copy", "box")])
def test_the_model_meets_every_state(order: tuple[str, str]) -> None:
    """A run that must show, withdraw and repeat, or the property would hold of nothing."""
    deeds: dict[str, list[tuple[str, object]]] = {
        "box": [("carry", ("anna", "box")), ("carry", ("box", "carla"))],
        "copy": [("resend", 0), ("carry", ("anna", "bruno"))],
    }
    steps: list[tuple[str, object]] = [
        ("send", "squad"),
        *deeds[order[0]],
        *deeds[order[1]],
        ("read", "bruno"),
        ("cancel", 0),
        ("restart", "carla"),
        ("carry", ("anna", "carla")),
        ("read", "carla"),
    ]
    model = trio.run(play, steps, clock=MockClock(autojump_threshold=0))
    assert model.shown == {("bruno", "message 0"): 1}
    assert sorted(model.ranks.values()) == [
        RANKS[RecipientState.WITHDRAWN],
        RANKS[RecipientState.READ],
    ]
