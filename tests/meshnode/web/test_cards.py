"""The card of a device, as a mate's screens check it; and papers of enrolment that pass by."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from trio.testing import MockClock

from meshnode.enrol import first_prekey, make_keys
from protocol.armour import TextForm, armour
from protocol.enrolment import Invitation, build_request
from protocol.envelope import HpkeSealer
from protocol.identity import DeviceClass, Role
from protocol.ids import print_node_id
from sims.fleet import ZONE
from sims.runtime import START_MS
from tests.meshnode import documents
from tests.meshnode.web.screens import Screens, open_screens
from tests.meshnode.web.test_gate import kind


@pytest.fixture
async def screens(autojump_clock: MockClock, tmp_path: Path) -> AsyncIterator[Screens]:
    async with open_screens(tmp_path) as found:
        yield found


def card_text(screens: Screens, name: str) -> str:
    return f"MESHC1:{print_node_id(screens.rig[name].id).upper()}"


async def test_a_card_is_what_a_mate_finds_in_the_rosters(
    autojump_clock: MockClock, screens: Screens
) -> None:
    async with screens.signed_in() as client:
        own = (await client.get("/api/card")).json()
        assert own["text"] == card_text(screens, "anna")
        assert (own["name"], own["squads"], len(own["code"])) == ("anna", ["Queyras"], 6)
        checked = await client.post("/api/card/check", json={"text": f" {own['text']}\n"})
        assert checked.json()["is_self"]
        assert checked.json()["code"] == own["code"]
        text = {"text": card_text(screens, "bruno")}
        mate = (await client.post("/api/card/check", json=text)).json()
        assert (mate["name"], mate["role"]) == ("bruno", "agent")
        assert (mate["is_self"], mate["is_revoked"]) == (False, False)
        assert mate["code"] != own["code"]
        revoked = documents.revocations(screens.rig, ["bruno"], 1)
        await screens.rig["anna"].node.membership.judge([revoked.raw])
        assert (await client.post("/api/card/check", json=text)).json()["is_revoked"]


async def test_a_foreign_card_and_what_is_no_card_are_told_apart(
    autojump_clock: MockClock, screens: Screens
) -> None:
    stranger = f"MESHC1:{print_node_id(make_id(7))}"
    async with screens.signed_in() as client:
        for text, status, word in (
            (stranger, 404, "unknown_name"),
            ("MESHC1:", 409, "card"),
            ("MESHC1:short", 409, "card"),
            (card_text(screens, "bruno").replace("MESHC1", "MESHC2"), 409, "card"),
            ("", 409, "card"),
        ):
            answer = await client.post("/api/card/check", json={"text": text})
            assert (answer.status_code, kind(answer)) == (status, word), text


def make_id(byte: int) -> bytes:
    return bytes([byte] * 16)


def an_invitation() -> Invitation:
    return Invitation(
        token=b"12345678",
        secret=b"secret of the paper!",
        expires_s=START_MS // 1000 + 60,
        root_hash=bytes(32),
        zone=ZONE,
        role=Role.AGENT,
        device_class=DeviceClass.PHONE,
        name="léa",
        squads=("Queyras",),
    )


async def test_papers_tell_their_carrier_what_people_compare_and_no_secret(
    autojump_clock: MockClock, screens: Screens
) -> None:
    invitation, keys = an_invitation(), make_keys()
    prekey = first_prekey(keys, ZONE, 1, 1, START_MS, HpkeSealer())
    request = build_request(invitation, keys.badge, keys.link, prekey.container)
    async with screens.signed_in() as client:

        async def read(text: str) -> dict[str, object]:
            found: dict[str, object] = (
                await client.post("/api/enrolment/read", json={"text": text})
            ).json()
            return found

        shown = await read(armour(TextForm.REQUEST, request.encode()))
        assert (shown["paper"], shown["code"]) == ("request", request.code)
        shown = await read(armour(TextForm.INVITATION, invitation.encode()))
        assert {key: shown[key] for key in ("paper", "name", "role", "squads")} == {
            "paper": "invitation",
            "name": "léa",
            "role": "agent",
            "squads": ["Queyras"],
        }
        assert "secret" not in str(shown)
        for text, word in (
            ("https://example.org/", "paper"),
            ("MESHR1:AAAA~aaaaaa", "malformed"),
            ("MESHA1:AAAA~aaaaaa", "malformed"),
        ):
            answer = await client.post("/api/enrolment/read", json={"text": text})
            assert kind(answer) == word, text
