"""Positions and alarms over a radio channel without a session, between real nodes.

What the issue of narrow links asks for on the air is measured here, and printed.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import trio
from trio.testing import MockClock

from meshnode.airing import Airing
from meshnode.around import untaken_alarms
from meshnode.budgets import Budgets
from meshnode.errors import LinkError
from meshnode.links.knocking import Knocks
from meshnode.links.serial_bearer import PortSettings, SerialBearer
from meshnode.node import Surroundings
from meshnode.outbox import Priority, Writing
from meshnode.positions import Place
from protocol.budgets import Tariff, period_end_ms, read_tariff, steps_of
from protocol.guards import QUOTA_HOUR_SOS
from protocol.identity import Role
from protocol.knock import KnockKeys
from protocol.limits import Kind
from protocol.narrow.form import Form, encode_short, encode_whole
from protocol.narrow.frames import decode_frame_untrusted
from protocol.narrow.kiss import KissDecoder, encode_kiss
from protocol.narrow.radio import radio_key, unwrap_untrusted, wrap
from protocol.network_keys import epoch_at
from protocol.payloads import Position
from sims.fleet import DevicePlan
from sims.runtime import START_MS
from tests.meshnode.documents import revocations
from tests.meshnode.links.lines import LineEnd, channel
from tests.meshnode.links.parts import network
from tests.meshnode.rig import SQUAD, ZONE_SCOPE, Member, Rig, open_rig

PLANS = (
    DevicePlan("anna", Role.AGENT, (SQUAD,)),
    DevicePlan("bruno", Role.AGENT, (SQUAD,)),
    DevicePlan("box", Role.RELAY, (SQUAD,)),
    DevicePlan("carla", Role.AGENT, ("Ubaye",)),
)
ALL = {
    "anna": "bruno box carla",
    "bruno": "anna box carla",
    "box": "anna bruno carla",
    "carla": "anna bruno box",
}
KEYS = {epoch_at(START_MS): [b"k" * 32]}
KEY = radio_key(b"k" * 32)
PORT = "/dev/ttyTEST0"
HERE = Place(44.89, 6.64, 12.5)
TARIFF = "/dev/billed per=day bytes=120000 step=50 sos=20000"
POSITION_BYTES_MAX, SOS_BYTES_MAX = 125, 140


def on_air(
    member: Member,
    line: LineEnd,
    keys: KnockKeys = KEYS,
    opener: Callable[[str, int], LineEnd] | None = None,
) -> Surroundings:
    """Give a node a radio in place of its bearer; nobody calls anybody."""
    runtime = member.machine.runtime
    contexts = network().contexts()
    bearer = SerialBearer(
        [PortSettings(PORT, line.rate_bps)],
        lambda: contexts,
        runtime,
        knocks=Knocks(runtime, lambda: keys),
        opener=opener or (lambda _path, _rate: line),
    )
    return voiced(member, bearer)


def billed_beside_free(member: Member, tariff: Tariff) -> tuple[dict[str, LineEnd], Surroundings]:
    """Give a node two radios that nobody hears; bytes on the first cost what the tariff says."""
    lines, runtime = channel({"billed": "", "free": ""}), member.machine.runtime
    bearer = SerialBearer(
        [PortSettings(f"/dev/{name}", 9_600) for name in lines],
        network().contexts,
        runtime,
        knocks=Knocks(runtime, lambda: KEYS),
        opener=lambda path, _rate: lines[path.removeprefix("/dev/")],
        meters=Budgets([tariff], member.store, runtime).meter_of,
    )
    return lines, voiced(member, bearer)


def voiced(member: Member, bearer: SerialBearer) -> Surroundings:
    """Give a node a bearer, and the room that speaks over its radios."""
    node, runtime = member.node, member.machine.runtime
    bearer.metrics, node.bearer = node.metrics, bearer
    parts = (node.relay, member.store, runtime, node.membership)
    airing = Airing(bearer, *parts, partial(untaken_alarms, node))
    return Surroundings(watches=(airing.run,))


@asynccontextmanager
async def listening(
    hearing: dict[str, str] = ALL, *, rate_bps: int = 9_600, loss: float = 0.0
) -> AsyncIterator[tuple[Rig, dict[str, LineEnd]]]:
    """Give nodes that met once, all on one channel but for `anna`'s own `mix` before it."""
    async with open_rig(PLANS) as rig:
        await rig.mix(*rig.members)
        await rig["anna"].node.relay.announce(await rig["anna"].node.positions.open_shift(), None)
        await rig.mix("anna", "bruno", "box")
        lines = channel(hearing, rate_bps, loss=loss)
        async with trio.open_nursery() as nursery:
            for name, line in lines.items():
                await nursery.start(rig[name].node.run, on_air(rig[name], line))
            await trio.sleep(1)
            yield rig, lines
            nursery.cancel_scope.cancel()


def forms(line: LineEnd) -> list[tuple[int, Form]]:
    """Return length on the air and form of all that was sent without a session."""
    decoder, found = KissDecoder(), list[tuple[int, Form]]()
    for sent in line.sent:
        for raw in decoder.feed_untrusted(sent):
            if len(raw) > 100:
                form = unwrap_untrusted(raw, [KEY])
                found.append((len(sent), Form(form[0] >> 6)))
            else:
                decode_frame_untrusted(raw)
    return found


async def raise_sos(member: Member, text: str = "à moi") -> float:
    """Raise an alarm; return when."""
    await member.node.outbox.send(Writing(ZONE_SCOPE, text, Priority.SOS))
    return trio.current_time()


async def report(member: Member, place: Place = HERE) -> None:
    """Tell a position."""
    await member.node.relay.announce(await member.node.positions.report(place), None)


async def until(is_so: Callable[[], Awaitable[object]], within_s: float = 60) -> float:
    """Wait until something holds; return when."""
    with trio.fail_after(within_s):
        while True:
            if await is_so():
                return trio.current_time()
            await trio.sleep(0.05)


async def copies(members: Sequence[Member], kind: Kind) -> list[list[bytes]]:
    """Return the containers of a kind that each holds."""
    return [[each.raw for each in await member.held(kind)] for member in members]


def run(main: Callable[[], object]) -> None:
    trio.run(main, clock=MockClock(autojump_threshold=0))  # type: ignore[arg-type]


def test_an_alarm_is_everywhere_in_hearing_within_two_seconds() -> None:
    async def main() -> None:
        async with listening() as (rig, lines):
            anna, others = rig["anna"], [rig["bruno"], rig["carla"], rig["box"]]
            await report(anna)
            await trio.sleep(1)
            before = len(forms(lines["anna"]))
            at_s = await raise_sos(anna)
            took = {}
            for member in others:
                arrived_s = await until(partial(member.held, Kind.SOS))
                took[member.device.plan.name] = round(arrived_s - at_s, 1)
            (sent,) = await anna.held(Kind.SOS)
            assert await copies(others, Kind.SOS) == [[sent.raw]] * 3, "the identical bundle"
            size_bytes, form = forms(lines["anna"])[before]
            print(f"SOS with a place: {len(sent.raw)} B whole, {size_bytes} B on the air, {took} s")
            assert form is Form.SOS
            assert size_bytes <= SOS_BYTES_MAX
            assert took["bruno"] <= 2
            assert took["carla"] <= 2, "she never had a bundle of an alarm, nor is she a mate"
            assert took["box"] <= 5, "a relay holds no key of alarms, and hears it whole"
            for member in others[:2]:
                await until(member.texts, 1)
                assert (await member.texts())[-1] == "à moi"
            await trio.sleep(700)
            assert len(forms(lines["anna"])) == before + 8
            assert all(len(forms(lines[name])) <= 2 for name in ("bruno", "carla", "box"))
            assert await copies(others, Kind.SOS) == [[sent.raw]] * 3

    run(main)


def test_of_a_long_alarm_its_beginning_goes_by_the_air_and_the_whole_by_the_next_session() -> None:
    async def main() -> None:
        async with listening() as (rig, _lines):
            anna, bruno, box = rig["anna"], rig["bruno"], rig["box"]
            await report(anna)
            await trio.sleep(1)
            text = (
                "Avalanche au couloir nord, deux personnes ensevelies, " + "visibilité nulle " * 9
            )
            at_s = await raise_sos(anna, text)
            cut = "Avalanche au couloir nord, deux personnes ensevelies, visibilité…"

            async def told(member: Member) -> list[str]:
                views = await member.node.alarms.list_alarms()
                return [each.alarm.raised.sos.text for each in views if each.alarm.raised]

            async def hears(member: Member, *texts: str) -> bool:
                return await told(member) == list(texts)

            took_s = await until(partial(hears, bruno, cut), 5) - at_s
            print(f"{len(text.encode())} B, cut to {len(cut.encode())}: heard in {took_s:.1f} s")
            assert await until(partial(box.held, Kind.SOS)) - at_s <= 5, "whole, for relays"
            assert await told(anna) == [text]
            await rig.mix("anna", "bruno")
            assert await told(bruno) == [text]
            await trio.sleep(700)
            assert len(await anna.held(Kind.SOS)) == 2, "cut once"

    run(main)


def test_positions_go_in_125_bytes_and_are_carried_by_who_cannot_read_them() -> None:
    async def main() -> None:
        async with listening(loss=0.02) as (rig, lines):
            anna, bruno, box = rig["anna"], rig["bruno"], rig["box"]
            for step in range(24):
                await report(anna, Place(44 + step / 100, 6.64, 12.5))
                await trio.sleep(30)
            ((_record, place),) = [
                each for each in await bruno.node.positions.newest() if each[0].author == anna.id
            ]
            assert isinstance(place, Position)
            assert place.latitude_e7 >= 442_200_000, "the last, or the one before"
            (newest,) = await anna.held(Kind.POSITION)
            assert newest.raw in [each.raw for each in await box.held(Kind.POSITION)]
            sizes = [size for size, form in forms(lines["anna"]) if form is Form.POSITION]
            whole = [size for size, form in forms(lines["anna"]) if form is Form.WHOLE]
            print(f"24 positions: {len(sizes)} of {max(sizes)} B, {len(whole)} whole {whole}")
            assert max(sizes) <= POSITION_BYTES_MAX
            assert len(sizes) == 21, "the first, and every tenth after it, go whole"
            assert forms(lines["bruno"]) == [], "positions are not sent on"
            assert bruno.metric("bundles_bad_signature") == 0
            await anna.node.relay.announce(await anna.node.positions.close_shift(), None)
            await trio.sleep(15)
            left = [each.author for each, _place in await bruno.node.positions.newest()]
            assert anna.id not in left, "the end of the shift was heard, and its positions erased"

    run(main)


def test_a_port_that_is_billed_has_its_pace_and_a_free_one_beside_it_has_none() -> None:
    async def main() -> None:
        async with open_rig(PLANS[:2]) as rig, trio.open_nursery() as nursery:
            await rig.mix(*rig.members)
            anna, tariff = rig["anna"], read_tariff(TARIFF)
            lines, around = billed_beside_free(anna, tariff)
            await nursery.start(anna.node.run, around)
            await anna.node.relay.announce(await anna.node.positions.open_shift(), None)
            for _ in range(120):
                await report(anna)
                await trio.sleep(30)
            told = {name: len(forms(line)) for name, line in lines.items()}
            billed = sum(50 * steps_of(tariff, len(each)) for each in lines["billed"].sent)
            ordinary = tariff.bytes_max - tariff.sos_bytes
            rest_ms = period_end_ms(tariff.period, START_MS) - START_MS
            due = ordinary * 3_600_000 / rest_ms
            print(f"frames in an hour: {told}; {billed} B, due {due:.0f} B")
            assert told["free"] > 120
            assert 0.8 * due < billed < due + 1_500, "and the shift, told four times"
            assert told["billed"] >= 20, "they are spread"
            await raise_sos(anna)
            await trio.sleep(50)
            alarms = {name: len(forms(line)) - told[name] for name, line in lines.items()}
            assert alarms == {"billed": 4, "free": 4}, "an alarm knows no pace"
            nursery.cancel_scope.cancel()

    run(main)


def test_who_comes_later_takes_positions_once_one_went_whole_with_its_shift() -> None:
    async def main() -> None:
        async with open_rig(PLANS) as rig:
            anna, box = rig["anna"], rig["box"]
            await anna.node.relay.announce(await anna.node.positions.open_shift(), None)
            lines = channel({"anna": "", "box": "anna"}, 1_200)
            async with trio.open_nursery() as nursery:
                await nursery.start(anna.node.run, on_air(anna, lines["anna"]))
                await trio.sleep(1)
                await report(anna)
                await trio.sleep(10)
                await nursery.start(box.node.run, on_air(box, lines["box"]))
                lines["anna"].peers.append(lines["box"])
                for _ in range(2):
                    await report(anna)
                    await trio.sleep(30)
                assert await box.held(Kind.POSITION) == []
                assert box.metric("forms_unknown") == 2
                for _ in range(9):
                    await report(anna)
                    await trio.sleep(30)
                assert await copies([box], Kind.POSITION) == await copies([anna], Kind.POSITION)
                nursery.cancel_scope.cancel()

    run(main)


def test_a_locked_device_sends_an_alarm_on_and_so_does_one_that_starts_again() -> None:
    async def main() -> None:
        hearing = {"anna": "box", "box": "anna bruno carla", "bruno": "box", "carla": "box"}
        async with listening(hearing) as (rig, _lines):
            anna, box, bruno = rig["anna"], rig["box"], rig["bruno"]
            assert await box.node.lock()
            at_s = await raise_sos(anna)
            arrived_s = await until(lambda: bruno.held(Kind.SOS))
            assert arrived_s - at_s <= 7, "it has no key, and sends on what it heard whole"
            assert await copies([bruno], Kind.SOS) == await copies([anna], Kind.SOS)
            await trio.sleep(1)
            assert await bruno.texts() == ["à moi"]

    run(main)


def test_an_alarm_that_was_being_sent_is_sent_anew_after_a_restart() -> None:
    async def main() -> None:
        async with open_rig(PLANS) as rig:
            anna, sent = rig["anna"], list[list[Form]]()
            for pause_s in (5, 5, 700):
                line = channel({"anna": ""})["anna"]
                async with trio.open_nursery() as nursery:
                    await nursery.start(anna.node.run, on_air(anna, line))
                    if not sent:
                        await raise_sos(anna)
                    await trio.sleep(pause_s)
                    nursery.cancel_scope.cancel()
                sent.append([form for _size, form in forms(line)])
            assert sent == [[Form.SOS, Form.WHOLE]] * 2 + [[Form.SOS, Form.WHOLE] * 4]

    run(main)


def test_an_alarm_waits_for_a_radio_that_is_plugged_in_late() -> None:
    async def main() -> None:
        async with open_rig(PLANS) as rig:
            anna, line = rig["anna"], channel({"anna": ""})["anna"]
            plugged = trio.Event()

            def opener(_path: str, _rate: int) -> LineEnd:
                if not plugged.is_set():
                    raise LinkError("it is not plugged in")
                return line

            async with trio.open_nursery() as nursery:
                await nursery.start(anna.node.run, on_air(anna, line, opener=opener))
                await raise_sos(anna)
                await trio.sleep(1_200)
                assert forms(line) == []
                plugged.set()
                await trio.sleep(700)
                nursery.cancel_scope.cancel()
            assert [form for _size, form in forms(line)] == [Form.SOS, Form.WHOLE] * 4

    run(main)


def test_an_alarm_that_was_raised_while_no_node_ran_is_aired_at_its_start() -> None:
    async def main() -> None:
        async with open_rig(PLANS) as rig:
            anna, line = rig["anna"], channel({"anna": ""})["anna"]
            await raise_sos(anna)
            await trio.sleep(1_200)
            async with trio.open_nursery() as nursery:
                await nursery.start(anna.node.run, on_air(anna, line))
                await trio.sleep(5)
                nursery.cancel_scope.cancel()
            assert [form for _size, form in forms(line)] == [Form.SOS, Form.WHOLE]

    run(main)


def test_replays_flipped_bits_strangers_and_liars_have_no_effect() -> None:
    async def main() -> None:
        async with listening() as (rig, lines):
            anna, bruno, carla = rig["anna"], rig["bruno"], rig["carla"]
            await report(anna)
            await trio.sleep(2)
            await report(anna)
            await raise_sos(anna)
            await trio.sleep(20)
            frames = [raw for raw in lines["anna"].sent if len(raw) > 100]
            assert len(frames) >= 6
            before = await copies([bruno, carla], Kind.SOS) + await copies([bruno], Kind.POSITION)
            dice, speaker = random.Random(1), lines["carla"]
            heard, repeated = bruno.metric("forms_heard"), bruno.metric("forms_repeated")
            for raw in frames:
                await speaker.send_all(raw)
            await trio.sleep(10)
            assert bruno.metric("forms_heard") == heard
            assert bruno.metric("forms_repeated") == repeated + len(frames)
            for raw in frames:
                # Sealed anew, as by a member: known all the same.
                known = unwrap_untrusted(next(KissDecoder().feed_untrusted(raw)), [KEY])
                await speaker.send_all(encode_kiss(wrap(KEY, known, dice.randrange(64))))
            await trio.sleep(10)
            damaged = bruno.metric("line_frames_damaged")
            for raw in frames:
                flipped = bytearray(raw)
                flipped[dice.randrange(2, len(raw) - 1)] ^= 1 << dice.randrange(5)
                await speaker.send_all(bytes(flipped))
                other = unwrap_untrusted(next(KissDecoder().feed_untrusted(raw)), [KEY])
                await speaker.send_all(encode_kiss(wrap(radio_key(b"z" * 32), other, 0)))
            await trio.sleep(10)
            assert bruno.metric("line_frames_damaged") >= damaged + 2 * len(frames) - 1
            # Carla holds the radio key, and signs what bears Anna's name.
            (alarm,) = await anna.held(Kind.SOS)
            header = replace(alarm.header, seq=alarm.header.seq + 1)
            forged = carla.forge(header, alarm.body)
            refused, unknown = bruno.metric("bundles_bad_signature"), bruno.metric("forms_unknown")
            for form in (encode_whole(forged), encode_short(forged), b"\xc0", b"\x00" * 40):
                assert form is not None
                await speaker.send_all(encode_kiss(wrap(KEY, form, 0)))
            await trio.sleep(5)
            assert bruno.metric("bundles_bad_signature") == refused + 1
            assert bruno.metric("forms_unknown") == unknown + 1
            assert bruno.metric("bundles_malformed") == 2
            after = await copies([bruno, carla], Kind.SOS) + await copies([bruno], Kind.POSITION)
            assert after == before

    run(main)


def test_quotas_and_revocations_hold_on_the_air_too() -> None:
    async def main() -> None:
        async with listening({"bruno": "carla", "carla": "bruno"}) as (rig, lines):
            bruno, carla = rig["bruno"], rig["carla"]
            await raise_sos(carla)
            (own,) = await carla.held(Kind.SOS)
            await trio.sleep(2)
            for number in range(QUOTA_HOUR_SOS + 6):
                header = carla.header(
                    Kind.SOS, ZONE_SCOPE, number, suite=own.header.suite, keyref=own.header.keyref
                )
                form = encode_short(carla.forge(header, bytes(40)))
                assert form is not None
                await lines["carla"].send_all(encode_kiss(wrap(KEY, form, 0)))
                await trio.sleep(1)
            taken = [each for each in await bruno.held(Kind.SOS) if each.header.author == carla.id]
            assert len(taken) == QUOTA_HOUR_SOS
            assert bruno.metric("bundles_quota") >= 6
            await bruno.node.membership.accept([revocations(rig, ["anna"], 1).raw], None)
            stolen = {"suite": own.header.suite, "keyref": own.header.keyref}
            header = rig["anna"].header(Kind.SOS, ZONE_SCOPE, 1, **stolen)
            form = encode_whole(rig["anna"].forge(header, bytes(40)))
            assert form is not None
            await lines["carla"].send_all(encode_kiss(wrap(KEY, form, 0)))
            await trio.sleep(2)
            assert bruno.metric("bundles_revoked") == 1

    run(main)


def test_a_node_without_a_knock_key_is_silent_and_deaf() -> None:
    async def main() -> None:
        async with open_rig(PLANS) as rig:
            anna, bruno = rig["anna"], rig["bruno"]
            lines = channel({"anna": "bruno", "bruno": "anna"})
            async with trio.open_nursery() as nursery:
                await nursery.start(anna.node.run, on_air(anna, lines["anna"], {}))
                await nursery.start(bruno.node.run, on_air(bruno, lines["bruno"]))
                await raise_sos(anna)
                await raise_sos(bruno)
                await trio.sleep(20)
                nursery.cancel_scope.cancel()
            assert forms(lines["anna"]) == []
            assert len(forms(lines["bruno"])) == 3
            assert len(await anna.held(Kind.SOS)) == 1

    run(main)
