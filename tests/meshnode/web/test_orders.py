"""Revocations and wipes on the screens: two persons, cards of the authority, and no way round."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock

from meshnode.errors import StoreError, WebError
from meshnode.web.gate import CSRF_HEADER
from meshnode.web.limits import ORDER_REQUEST_S_MAX, ORDER_REQUESTS_MAX
from meshnode.web.roles import WebRole
from protocol.authority import DocumentClass, SignedDocument, build
from protocol.enrolment import encode_documents
from protocol.guards import LEASE_MS
from protocol.ids import print_node_id
from protocol.orders import Revocation, WipeBody, WipeLevel
from sims.runtime import START_MS
from tests.meshnode import documents
from tests.meshnode.web.screens import Screens, open_screens
from tests.meshnode.web.test_gate import kind

PATH = "/api/order-requests"
DECLINED = {"reason": "found in the car"}


@pytest.fixture
async def screens(autojump_clock: MockClock, tmp_path: Path) -> AsyncIterator[Screens]:
    async with open_screens(tmp_path) as found:
        yield found


class Person:
    """An operator with a token of the own, and a browser that was signed in by it."""

    def __init__(self, client: httpx.AsyncClient, token: str) -> None:
        self.client = client
        self.token = token

    async def post(self, path: str = "", **body: Any) -> httpx.Response:
        """Ask a route of requests."""
        return await self.client.post(f"{PATH}{path}", json=body)


async def person(screens: Screens, name: str, role: str = "operator") -> Person:
    """Return somebody who signed in by the own token; a moment passes."""
    token = str((await screens.api.web_token_add(name, role, 30))["token"])
    opened = screens.door.enter_by_token(token)
    assert opened is not None
    headers = {CSRF_HEADER: opened.session.csrf}
    cookies = {"meshnode_session": opened.secret}
    screens.rig["anna"].machine.clock_ahead_ms += 1_000
    return Person(screens.client(cookies=cookies, headers=headers), token)


def plan(screens: Screens, *names: str, **more: Any) -> dict[str, Any]:
    """Return what is asked for: a revocation, unless more is said."""
    devices = [print_node_id(screens.rig[name].id) for name in names]
    reason = "lost at the pass"
    return {"what": "revoke", "devices": devices, "reason": reason, "typed": names[0], **more}


def text(*found: SignedDocument) -> str:
    """Return signed documents as `meshnode authority` writes them."""
    return encode_documents([each.raw for each in found])


async def events(screens: Screens) -> list[str]:
    """Return what the audit log says of orders, oldest first."""
    found = await screens.api.audit()
    return [each["event"] for each in found["entries"] if each["event"].startswith("order_")]


async def confirmed(screens: Screens, **more: Any) -> tuple[Person, Person, str]:
    """Return two persons, and a request about bruno that one asked for and the other confirmed."""
    first, second = await person(screens, "anne"), await person(screens, "basile")
    asked = (await first.post(**plan(screens, "bruno", **more))).json()
    path = f"/{asked['request']}"
    answer = await second.post(f"{path}/confirm", token=second.token, typed=" Bruno ")
    assert answer.json()["state"] == "confirmed", answer.text
    return first, second, path


async def test_the_rosters_tell_role_shift_and_who_is_revoked_or_wiped(
    autojump_clock: MockClock, screens: Screens
) -> None:
    rig, node = screens.rig, screens.rig["anna"].node
    now_ms = rig["anna"].machine.now_ms()
    await node.membership.judge([documents.revocations(rig, ["bruno"], 1).raw])
    await node.membership.judge([documents.wipe_order(rig, ["box"]).raw])
    async with screens.signed_in(WebRole.OPERATOR) as client:
        await client.post("/api/shift", json={"hours": 8})
        found = (await client.get("/api/members")).json()
    members = {each["name"]: each for each in found["members"]}
    assert {*members} == {"anna", "bruno", "box", "gateway"}
    assert members["anna"]["squads"] == ["Queyras"]
    assert members["anna"]["is_on_shift"]
    assert members["anna"]["shift_over_ms"] > now_ms
    assert (members["bruno"]["is_revoked"], members["anna"]["is_revoked"]) == (True, False)
    assert (members["box"]["wipe"], members["anna"]["wipe"]) == ("ordered", "")
    assert members["anna"]["lease_ends_ms"] == 0
    await node.membership.judge([documents.erasure(rig, "box").raw])
    again = await screens.api.members()
    assert next(each["wipe"] for each in again["members"] if each["name"] == "box") == "proven"


async def test_a_lease_is_counted_from_the_newest_beacon(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_screens(tmp_path, has_beacons=True) as screens:
        anna = screens.rig["anna"]
        assert {each["lease_ends_ms"] for each in (await screens.api.members())["members"]} == {0}
        now_ms = anna.machine.now_ms()
        await anna.node.membership.judge([documents.beacon(screens.rig, 1, now_ms).raw])
        found = await screens.api.members()
        assert [each["beacon_ms"] for each in found["zones"]] == [now_ms]
        assert {each["lease_ends_ms"] for each in found["members"]} == {now_ms + LEASE_MS}


async def test_two_persons_and_a_card_revoke_a_device(
    autojump_clock: MockClock, screens: Screens
) -> None:
    first, _second, path = await confirmed(screens)
    answer = await first.post(
        f"{path}/order", text=text(documents.revocations(screens.rig, ["bruno"], 1))
    )
    assert (answer.status_code, answer.json()["state"]) == (200, "given")
    directory = screens.rig["anna"].node.membership.directory
    assert screens.rig["bruno"].id in directory.revoked
    assert await events(screens) == ["order_asked", "order_confirmed", "order_given"]
    again = await first.post(f"{path}/decline", **DECLINED)
    assert (again.status_code, kind(again)) == (409, "request_state")


async def test_a_made_up_colleague_leaves_traces(
    autojump_clock: MockClock, screens: Screens
) -> None:
    """Whoever owns the terminal may make tokens: it is written down, and their age is shown."""
    first, _second, _path = await confirmed(screens)
    (found,) = (await first.client.get(PATH)).json()["requests"]
    assert found["asked_ms"] - found["token_made_ms"] == 1_000
    noted = [each["event"] for each in (await screens.api.audit())["entries"]]
    assert "web_token_added" in noted
    with pytest.raises(WebError, match="there is a token 'anne'"):
        await screens.api.web_token_add("Anne", "operator")
    assert await screens.api.web_token_revoke("anne")
    noted = [each["event"] for each in (await screens.api.audit())["entries"]]
    assert "web_token_revoked" in noted


async def test_a_wipe_takes_two_cards_beside_two_persons(
    autojump_clock: MockClock, screens: Screens
) -> None:
    rig = screens.rig
    first, second, path = await confirmed(screens, what="wipe", level="all")
    one = text(documents.wipe_order(rig, ["bruno"], cards=(0,)))
    half = (await first.post(f"{path}/order", text=one)).json()
    assert (half["state"], half["signed"], half["needed"]) == ("confirmed", 1, 2)
    assert rig["anna"].node.membership.trust.wipe_orders() == ()
    # The holder of the second card fetches what the first one signed.
    (listed,) = (await second.client.get(PATH)).json()["requests"]
    assert listed["share"] == one
    body = WipeBody(WipeLevel.ALL, (rig["bruno"].id,)).encode()
    foreign = build(
        DocumentClass.WIPE, b"order-02", (1, 1), START_MS, body, [rig.fleet.cards.revocation]
    )
    none = await second.post(f"{path}/order", text=text(foreign))
    assert (none.status_code, kind(none)) == (409, "order_refused")
    both = text(documents.wipe_order(rig, ["bruno"]))
    given = (await second.post(f"{path}/order", text=both)).json()
    assert (given["state"], given["share"]) == ("given", "")
    (order,) = rig["anna"].node.membership.trust.wipe_orders()
    assert order.body.devices == (rig["bruno"].id,)
    assert (await events(screens))[2:] == ["order_share_taken", "order_given"]


async def test_one_person_is_never_two(autojump_clock: MockClock, screens: Screens) -> None:
    first = await person(screens, "anne")
    asked = (await first.post(**plan(screens, "bruno"))).json()
    confirm = f"/{asked['request']}/confirm"
    other_browser = screens.door.enter_by_token(first.token)
    assert other_browser is not None
    same = screens.client(
        cookies={"meshnode_session": other_browser.secret},
        headers={CSRF_HEADER: other_browser.session.csrf},
    )
    made_up = await person(screens, "made-up")
    guard = await person(screens, "agent", "agent")
    typed = "bruno"
    refused = [
        (await first.post(confirm, token=first.token, typed=typed), 403, "person"),
        (
            await same.post(f"{PATH}{confirm}", json={"token": first.token, "typed": typed}),
            403,
            "person",
        ),
        (await made_up.post(confirm, token=made_up.token, typed=typed), 403, "person"),
        (await first.post(confirm, token=guard.token, typed=typed), 403, "role"),
        (await first.post(confirm, token="0" * 32, typed=typed), 401, "wrong_key"),
        (await first.post(confirm, token="", typed=typed), 401, "wrong_key"),
    ]
    for answer, status, word in refused:
        assert (answer.status_code, kind(answer)) == (status, word)
    assert (await first.client.get(PATH)).json()["requests"][0]["state"] == "waiting"
    assert screens.metric("web_signins_refused") == 2


async def test_a_second_person_confirms_at_the_same_screen_by_the_own_token(
    autojump_clock: MockClock, screens: Screens
) -> None:
    second = await person(screens, "basile")
    async with screens.signed_in(WebRole.OPERATOR) as owner:
        asked = (await owner.post(PATH, json=plan(screens, "bruno"))).json()
        assert asked["asked_by"] == ""
        confirm = f"{PATH}/{asked['request']}/confirm"
        wrong = await owner.post(confirm, json={"token": second.token, "typed": "anna"})
        assert (wrong.status_code, kind(wrong)) == (400, "typed")
        right = await owner.post(confirm, json={"token": second.token, "typed": "bruno"})
        assert (right.json()["state"], right.json()["decided_by"]) == ("confirmed", "basile")


async def test_an_order_before_the_second_person_is_not_taken(
    autojump_clock: MockClock, screens: Screens
) -> None:
    first = await person(screens, "anne")
    asked = (await first.post(**plan(screens, "bruno"))).json()
    order = text(documents.revocations(screens.rig, ["bruno"], 1))
    answer = await first.post(f"/{asked['request']}/order", text=order)
    assert (answer.status_code, kind(answer)) == (409, "request_state")
    assert screens.rig["anna"].node.membership.directory.revoked == {}


async def test_an_order_that_says_something_else_is_not_taken(
    autojump_clock: MockClock, screens: Screens
) -> None:
    rig = screens.rig
    first, _second, path = await confirmed(screens, what="wipe", level="agent")
    agent = WipeLevel.AGENT
    for wrong, word in (
        (text(documents.wipe_order(rig, ["bruno"])), "order_other"),
        (text(documents.wipe_order(rig, ["bruno", "box"], level=agent)), "order_other"),
        (text(documents.wipe_order(rig, ["box"], level=agent)), "order_other"),
        (text(documents.revocations(rig, ["bruno"], 1)), "order_other"),
        (text(documents.beacon(rig, 1, rig["anna"].machine.now_ms())), "order"),
        (text(*[documents.wipe_order(rig, ["bruno"], level=agent)] * 2), "malformed"),
        ("no document at all", "malformed"),
    ):
        answer = await first.post(f"{path}/order", text=wrong)
        assert kind(answer) == word, answer.text
    assert rig["anna"].node.membership.trust.wipe_orders() == ()


async def test_a_list_that_revokes_more_than_was_confirmed_is_not_taken(
    autojump_clock: MockClock, screens: Screens
) -> None:
    rig, node = screens.rig, screens.rig["anna"].node
    first, _second, path = await confirmed(screens)
    more = text(documents.revocations(rig, ["bruno", "box"], 2))
    answer = await first.post(f"{path}/order", text=more)
    assert (answer.status_code, kind(answer)) == (409, "order_other")
    # What this node knows already is no more than what it knows.
    await node.membership.judge([documents.revocations(rig, ["box"], 1).raw])
    assert (await first.post(f"{path}/order", text=more)).json()["state"] == "given"


async def test_a_list_that_says_worse_of_a_device_nobody_asked_about_is_not_taken(
    autojump_clock: MockClock, screens: Screens
) -> None:
    rig, node = screens.rig, screens.rig["anna"].node
    box, bruno = (rig[name].id for name in ("box", "bruno"))
    known = Revocation(box, START_MS, 7, 20)
    await node.membership.judge([documents.signed_list(rig, [known], 1).raw])
    first, _second, path = await confirmed(screens)

    def with_box(entry: Revocation) -> str:
        entries = sorted([Revocation(bruno, START_MS, 0, 0), entry], key=lambda e: e.subject)
        return text(documents.signed_list(rig, entries, 2))

    # Less of what it wrote would be good, though nobody confirmed that.
    for worse in (replace(known, last_seq=19), replace(known, incarnation=0, last_seq=0)):
        answer = await first.post(f"{path}/order", text=with_box(worse))
        assert (answer.status_code, kind(answer)) == (409, "order_other")
    assert node.membership.directory.revoked[box] == known
    assert (await first.post(f"{path}/order", text=with_box(known))).json()["state"] == "given"


async def test_what_is_refused_is_counted_and_written_down(
    autojump_clock: MockClock, screens: Screens
) -> None:
    first, _second, path = await confirmed(screens)
    before = screens.metric("web_orders_refused")
    other = text(documents.revocations(screens.rig, ["box"], 1))
    await first.post(f"{path}/order", text=other)
    await first.post(f"{path}/order", text="no document at all")
    await first.post("/0/decline", **DECLINED)
    asked = (await first.post(**plan(screens, "box"))).json()
    confirm = f"/{asked['request']}/confirm"
    await first.post(confirm, token=first.token, typed="box")
    await first.post(confirm, token="0" * 32, typed="box")
    assert screens.metric("web_orders_refused") - before == 5
    await screens.rig["anna"].node.audit.flush()
    found = await screens.api.audit()
    written = [each for each in found["entries"] if each["event"] == "web_orders_refused"]
    assert sum(each["count"] for each in written) == 5


async def test_what_was_declined_or_is_over_goes_no_further(
    autojump_clock: MockClock, screens: Screens
) -> None:
    first, second, path = await confirmed(screens, what="wipe", level="all")
    half = text(documents.wipe_order(screens.rig, ["bruno"], cards=(0,)))
    assert (await first.post(f"{path}/order", text=half)).json()["share"] == half
    told = (await second.post(f"{path}/decline", **DECLINED)).json()
    assert (told["state"], told["declined_for"]) == ("declined", DECLINED["reason"])
    assert told["share"] == ""
    order = text(documents.wipe_order(screens.rig, ["bruno"]))
    assert kind(await first.post(f"{path}/order", text=order)) == "request_state"
    late = (await first.post(**plan(screens, "bruno"))).json()
    await trio.sleep(ORDER_REQUEST_S_MAX)
    answer = await second.post(f"/{late['request']}/confirm", token=second.token, typed="bruno")
    assert (answer.status_code, kind(answer)) == (404, "unknown_request")
    assert (await second.client.get(PATH)).json()["requests"] == []
    assert (await events(screens))[-1] == "order_expired"


async def test_what_is_asked_for_is_looked_at(autojump_clock: MockClock, screens: Screens) -> None:
    first = await person(screens, "anne")
    unknown = print_node_id(bytes(16))
    ten = [print_node_id(bytes([each] * 16)) for each in range(11)]
    bruno = print_node_id(screens.rig["bruno"].id)
    wipe = {"what": "wipe", "level": "all"}
    for body, status, word in (
        (plan(screens, "bruno", typed="brno"), 400, "typed"),
        (plan(screens, "bruno", reason=""), 400, "body"),
        (plan(screens, "bruno", devices=[]), 400, "body"),
        (plan(screens, "bruno", devices=ten), 400, "body"),
        (plan(screens, "bruno", "bruno"), 400, "body"),
        (plan(screens, "bruno", devices=[bruno, bruno.upper()]), 400, "body"),
        (plan(screens, "bruno", level="all"), 400, "body"),
        (plan(screens, "bruno", what="wipe"), 400, "body"),
        (plan(screens, "bruno", devices=[unknown], **wipe), 404, "unknown_name"),
        (plan(screens, "bruno", devices=["all"], **wipe), 404, "unknown_name"),
    ):
        answer = await first.post(**body)
        assert (answer.status_code, kind(answer)) == (status, word), answer.text
    revoked = documents.revocations(screens.rig, ["bruno"], 1)
    await screens.rig["anna"].node.membership.judge([revoked.raw])
    answer = await first.post(**plan(screens, "bruno"))
    assert (answer.status_code, kind(answer)) == (409, "order_refused")
    # Wiped it may be all the same.
    assert (await first.post(**plan(screens, "bruno", **wipe))).json()["state"] == "waiting"


async def test_a_program_is_no_person(autojump_clock: MockClock, screens: Screens) -> None:
    _first, _second, path = await confirmed(screens)
    order = {"text": text(documents.revocations(screens.rig, ["bruno"], 1))}
    async with await screens.program("operator") as program:
        for step, body in (
            ("", plan(screens, "bruno")),
            (f"{path}/decline", DECLINED),
            (f"{path}/order", order),
        ):
            answer = await program.post(f"{PATH}{step}", json=body)
            assert (answer.status_code, kind(answer)) == (403, "person"), step
    assert screens.rig["anna"].node.membership.directory.revoked == {}


async def test_each_step_is_taken_once(autojump_clock: MockClock, screens: Screens) -> None:
    third = await person(screens, "chloe")
    first, _second, path = await confirmed(screens)
    again = await third.post(f"{path}/confirm", token=third.token, typed="bruno")
    assert (again.status_code, kind(again)) == (409, "request_state")
    order = text(documents.revocations(screens.rig, ["bruno"], 1))
    assert (await first.post(f"{path}/order", text=order)).json()["decided_by"] == "basile"
    again = await first.post(f"{path}/order", text=order)
    assert (again.status_code, kind(again)) == (409, "request_state")


async def test_an_order_that_lacks_a_device_or_is_older_is_not_taken(
    autojump_clock: MockClock, screens: Screens
) -> None:
    rig, node = screens.rig, screens.rig["anna"].node
    first, second = await person(screens, "anne"), await person(screens, "basile")
    asked = (await first.post(**plan(screens, "bruno", "gateway"))).json()
    path = f"/{asked['request']}"
    await second.post(f"{path}/confirm", token=second.token, typed="bruno")
    half = await first.post(f"{path}/order", text=text(documents.revocations(rig, ["bruno"], 2)))
    assert (half.status_code, kind(half)) == (409, "order_other")
    await node.membership.judge([documents.revocations(rig, ["box"], 2).raw])
    old = text(documents.revocations(rig, ["bruno", "gateway"], 1))
    answer = await first.post(f"{path}/order", text=old)
    assert (answer.status_code, kind(answer)) == (409, "order_refused")
    assert [*node.membership.directory.revoked] == [rig["box"].id]
    assert (await first.client.get(PATH)).json()["requests"][0]["state"] == "confirmed"


async def test_a_step_that_cannot_be_written_down_does_not_count(
    autojump_clock: MockClock, screens: Screens, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await person(screens, "anne"), await person(screens, "basile")
    asked = (await first.post(**plan(screens, "bruno"))).json()

    async def full(*_told: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(screens.api, "note_order", full)
        path = f"/{asked['request']}/confirm"
        answer = await second.post(path, token=second.token, typed="bruno")
        assert (answer.status_code, kind(answer)) == (503, "store")
        assert (await first.post(**plan(screens, "box"))).status_code == 503
    (only,) = (await first.client.get(PATH)).json()["requests"]
    assert (only["request"], only["state"]) == (asked["request"], "waiting")


async def test_requests_are_bounded_and_ended_ones_make_room(
    autojump_clock: MockClock, screens: Screens
) -> None:
    first = await person(screens, "anne")
    made = [(await first.post(**plan(screens, "bruno"))).json() for _ in range(ORDER_REQUESTS_MAX)]
    full = await first.post(**plan(screens, "bruno"))
    assert (full.status_code, kind(full)) == (429, "requests_full")
    await first.post(f"/{made[3]['request']}/decline", **DECLINED)
    assert (await first.post(**plan(screens, "bruno"))).status_code == 200
    listed = (await first.client.get(PATH)).json()["requests"]
    assert len(listed) == ORDER_REQUESTS_MAX
    assert made[3]["request"] not in {each["request"] for each in listed}
