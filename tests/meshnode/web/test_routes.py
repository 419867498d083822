"""What routes do where all is well: each asks the node and hands on what it says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.metrics import METRICS
from meshnode.web.answers import FAMILIES, REFUSALS, language_of
from meshnode.web.roles import WebRole
from meshnode.web.routes import archive
from meshnode.web.routes.table import ROUTES
from protocol.limits import Kind
from tests.meshnode.web.screens import Screens, open_screens
from tests.meshnode.web.test_gate import kind

PICTURE = b"\x89PNG\r\n\x1a\n" + b"not much of a picture"
PDF = b"%PDF-1.4 a few words"


@pytest.fixture
async def screens(autojump_clock: MockClock, tmp_path: Path) -> AsyncIterator[Screens]:
    async with open_screens(tmp_path) as found:
        yield found


async def test_plain_questions_have_the_fields_that_are_described(
    autojump_clock: MockClock, screens: Screens
) -> None:
    plain = [
        each
        for each in ROUTES
        if each.method == "GET"
        and "{" not in each.path
        and each.media == "application/json"
        and each.path not in ("/api/matrix", "/api/track", "/api/sheets/search")
        and each not in archive.ROUTES
    ]
    async with screens.signed_in(WebRole.OPERATOR) as client:
        for route in plain:
            answer = await client.get(route.path)
            assert answer.status_code == 200, (route.path, answer.text)
            found = answer.json()
            assert route.is_bare or found["schema"] == 1
            assert {*route.fields} <= {*found}, route.path


async def test_a_device_without_an_archive_says_so(
    autojump_clock: MockClock, screens: Screens
) -> None:
    async with screens.signed_in(WebRole.OPERATOR) as client:
        for route in archive.ROUTES:
            answer = await client.get(route.path)
            assert answer.status_code == 409, route.path
            assert answer.json()["error"]["kind"] == "no_archive"


async def test_units_of_partners_are_given_where_a_bridge_runs(
    autojump_clock: MockClock, screens: Screens
) -> None:
    async with screens.signed_in(WebRole.AGENT) as client:
        found = (await client.get("/api/tak")).json()
        assert found == {"schema": 1, "has_bridge": False, "is_connected": False, "marks": []}
        mark = {"uid": "A-1", "callsign": "DELTA", "is_stale": True}
        screens.api.tak_view = lambda: {
            "server": "tls://partner.example:8089",
            "is_connected": True,
            "marks": [mark],
        }
        found = (await client.get("/api/tak")).json()
    # Where the server is, and what leaves for it, is nothing for a map.
    assert found == {"schema": 1, "has_bridge": True, "is_connected": True, "marks": [mark]}


async def test_a_message_is_written_followed_and_taken_back(
    autojump_clock: MockClock, screens: Screens
) -> None:
    async with screens.signed_in() as client:
        names = (await client.get("/api/names")).json()
        assert [each["to"] for each in names["units"]] == ["codt", "zone"]
        assert [each["to"] for each in names["squads"]] == ["squad:Queyras"]
        assert {each["name"] for each in names["members"]} == {"bruno", "gateway"}
        body = {"to": "bruno", "text": "Où es-tu ? 🚑", "priority": "low", "lifetime_s": 3_600}
        sent = (await client.post("/api/messages", json=body)).json()
        (listed,) = (await client.get("/api/messages/outgoing")).json()["messages"]
        assert (listed["text"], listed["key"]) == (body["text"], sent["key"])
        assert (await client.get(f"/api/messages/outgoing?after={sent['key']}")).json()[
            "messages"
        ] == []
        whole = (await client.get(f"/api/messages/{sent['message']}")).json()
        assert [each["name"] for each in whole["recipients"]] == ["bruno"]
        matrix = (await client.get("/api/matrix", params={"to": "bruno"})).json()
        assert [each["key"] for each in matrix["messages"]] == [sent["key"]]
        again = await client.post(f"/api/messages/{sent['key']}/resend", json={"to": "bruno"})
        assert again.json()["resends"] == sent["message"]
        assert (await client.post(f"/api/messages/{sent['key']}/cancel")).json()["is_changed"]


async def test_a_message_is_read(autojump_clock: MockClock, screens: Screens) -> None:
    bruno = screens.rig["bruno"]
    await bruno.send(screens.rig["anna"].scope, "At the pass")
    await screens.rig.carry("bruno", "anna", Kind.TEXT)
    async with screens.signed_in() as client:
        (found,) = (await client.get("/api/messages/inbox")).json()["messages"]
        assert (found["text"], found["is_read"]) == ("At the pass", False)
        for is_new in (True, False):
            answer = await client.post(f"/api/messages/{found['key']}/read")
            assert answer.json()["is_changed"] is is_new


async def test_half_a_character_of_a_message_does_not_break_the_answer(
    autojump_clock: MockClock, screens: Screens
) -> None:
    screens.api.inbox = _half  # type: ignore[method-assign, assignment]
    async with screens.signed_in() as client:
        answer = await client.get("/api/messages/inbox")
    assert answer.json()["messages"] == [{"text": "\ud800"}]


async def _half(_after: int, _limit: int) -> list[dict[str, str]]:
    return [{"text": "\ud800"}]


async def test_a_shift_its_positions_and_an_alarm(
    autojump_clock: MockClock, screens: Screens
) -> None:
    async with screens.signed_in() as client:
        refused = await client.post("/api/position", json={"latitude": 44.9, "longitude": 6.6})
        assert (refused.status_code, kind(refused)) == (409, "no_shift")
        assert (await client.post("/api/shift", json={"hours": 8})).json()["is_open"]
        place = {"latitude": 44.9, "longitude": 6.6, "accuracy_m": 5}
        assert (await client.post("/api/position", json=place)).status_code == 200
        state = {"battery_pct": 50, "network": "4G", "signal_dbm": -90, "operator": "Orange"}
        assert (await client.post("/api/state", json=state)).status_code == 200
        (mate, _) = (await client.get("/api/board")).json()["mates"]
        assert mate["position"]["latitude"] == pytest.approx(44.9)
        (position,) = (await client.get("/api/positions")).json()["positions"]
        assert position["name"] == "anna"
        raised = (await client.post("/api/sos", json={"text": "Fallen"})).json()
        (alarm,) = (await client.get("/api/alarms")).json()["alarms"]
        assert alarm["alarm"] == raised["alarm"]
        path = f"/api/alarms/{raised['alarm'][:6]}"
        assert (await client.get(path)).json()["text"] == "Fallen"
        closed = await client.post(f"{path}/close", json={"text": "All well", "is_false": True})
        assert closed.json()["outcome"] == "false_alarm"
        assert (await client.post(f"{path}/raise-anew")).json()["is_changed"]
        assert not (await client.delete("/api/shift")).json()["is_open"]


async def test_a_file_goes_and_comes(autojump_clock: MockClock, screens: Screens) -> None:
    async with screens.signed_in() as client:
        form = {"to": "bruno", "text": "The plan"}
        sent = await client.post("/api/files", data=form, files={"file": ("plan.pdf", PDF)})
        assert sent.status_code == 200, sent.text
        (found,) = (await client.get("/api/files")).json()["files"]
        assert (found["name"], found["media"], found["size_bytes"]) == ("plan.pdf", "pdf", len(PDF))
        assert (await client.get(f"/api/files/{found['file']}")).json()["is_own"]
        own = await client.get(f"/api/files/{found['file']}/content")
        assert (own.status_code, kind(own)) == (409, "not_whole")
        assert (await client.get(f"/api/files/{found['file']}/thumbnail")).status_code == 404
        assert (await client.post(f"/api/files/{found['file']}/cancel")).json()["is_changed"]
    bruno = screens.rig["bruno"].node
    number = await bruno.attachments.intake.take_in_open(
        BytesIO(PDF), "à lire.pdf", None, keeps_place=False
    )
    assert number > 0


async def test_what_came_whole_is_given_as_a_file_that_runs_nothing(
    autojump_clock: MockClock, screens: Screens
) -> None:
    screens.api.file_content = _content  # type: ignore[method-assign, assignment]
    screens.api.file_thumbnail = _thumbnail  # type: ignore[method-assign, assignment]
    async with screens.signed_in() as client:
        answer = await client.get("/api/files/1/content")
        assert answer.content == b"<script>"
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"] == (
            "attachment; filename*=UTF-8''%C3%A0%20%22lire%22%0D%0A.html"
        )
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
        small = await client.get("/api/files/1/thumbnail")
        assert (small.content, small.headers["content-type"]) == (b"\xff\xd8", "image/jpeg")


async def _content(_file: str) -> tuple[dict[str, str], bytes]:
    return {"name": 'à "lire"\r\n.html', "media": "other"}, b"<script>"


async def _thumbnail(_file: str) -> bytes:
    return b"\xff\xd8"


# What was sent is not read to its end, which the client in this process does not like.
@pytest.mark.filterwarnings("ignore:.*object ByteStream:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("content", "boundary"),
    [
        (b"garbage", "b"),
        (b"--b\r\n", "b"),
        (b'--b\r\nContent-Disposition: form-data; name="to"\r\n\r\nbruno\r\n--b--\r\n', "b"),
        (b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n', "b"),
        (b"", ""),
        (b"x", "b" * 5_000),
    ],
)
async def test_a_form_that_is_none_is_refused(
    autojump_clock: MockClock, screens: Screens, content: bytes, boundary: str
) -> None:
    media = "multipart/form-data" + (f"; boundary={boundary}" if boundary else "")
    async with screens.signed_in() as client:
        answer = await client.post("/api/files", content=content, headers={"content-type": media})
        assert (answer.status_code, kind(answer)) == (400, "body")
        answer = await client.post("/api/files", json={})
        assert (answer.status_code, kind(answer)) == (400, "body")
        assert (await client.get("/api/files")).json()["files"] == []


async def test_a_sheet_page_is_for_a_frame_that_runs_nothing(
    autojump_clock: MockClock, screens: Screens
) -> None:
    screens.api.sheet_page = _sheet_page  # type: ignore[method-assign, assignment]
    async with screens.signed_in() as client:
        answer = await client.get("/api/sheets/burns/page", headers={"accept-language": "en"})
        assert answer.text == "<p>burns en</p>"
        policy = answer.headers["content-security-policy"]
        assert {"default-src 'none'", " sandbox", " frame-ancestors 'self'"} <= {*policy.split(";")}
        missing = await client.get("/api/sheets/burns")
        assert (missing.status_code, kind(missing)) == (404, "unknown_sheet")


async def _sheet_page(name: str, language: str) -> str:
    return f"<p>{name} {language}</p>"


async def test_a_lock_is_answered(autojump_clock: MockClock, screens: Screens) -> None:
    async with screens.signed_in() as client:
        answer = await client.post("/api/lock")
        assert (answer.status_code, kind(answer)) == (409, "not_guarded")


async def test_a_defect_is_counted_and_told_without_its_text(
    autojump_clock: MockClock, screens: Screens
) -> None:
    screens.api.peers = _defect  # type: ignore[method-assign]
    async with screens.signed_in() as client:
        answer = await client.get("/api/peers")
        assert (answer.status_code, kind(answer)) == (500, "defect")
        assert "hush" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert (await client.get("/api/status")).status_code == 200
    assert screens.metric("web_defects") == 1


async def _defect() -> list[dict[str, object]]:
    raise RuntimeError("hush")


# --- for machines ---------------------------------------------------------------------------------


async def test_counters_are_those_of_the_node(autojump_clock: MockClock, screens: Screens) -> None:
    await screens.api.send("bruno", "one")
    async with await screens.program("reader") as program:
        answer = await program.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert {f"meshnode_{name}_total" for name in METRICS} <= {*samples}
    assert samples["meshnode_messages_sent_total"] == "1"
    assert samples['meshnode_messages{state="queued"}'] == "1"
    assert samples["meshnode_locked"] == "0"
    typed = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert {each.partition("{")[0] for each in samples} == typed
    assert "bruno" not in answer.text


async def test_a_watchdog_hears_that_it_lives_and_no_more(
    autojump_clock: MockClock, screens: Screens
) -> None:
    open_, shut = (
        {"schema": 1, "is_alive": True, "is_locked": each, "alarms": 0} for each in (0, 1)
    )
    async with screens.client() as client:
        assert (await client.get("/healthz")).json() == open_
        await Api(screens.rig["bruno"].node).sos("Chute au col")
        await screens.rig.mix("anna", "bruno")
        assert (await client.get("/healthz")).json() == {**open_, "alarms": 1}
        await screens.api.alarm_seen("last")
        assert (await client.get("/healthz")).json() == open_
        await screens.rig["anna"].node.lock()
        assert (await client.get("/healthz")).json() == shut
        await Api(screens.rig["bruno"].node).sos("Encore")
        await screens.rig.mix("anna", "bruno")
        assert (await client.get("/healthz")).json() == {**shut, "alarms": 1}
        assert (await screens.api.status())["alarms_unread"] == 1


async def test_other_machines_hear_that_it_lives_and_no_more(tmp_path: Path) -> None:
    async with open_screens(tmp_path, is_local=False) as screens, screens.client() as client:
        assert (await client.get("/healthz")).json() == {"schema": 1, "is_alive": True}


async def test_every_error_that_a_route_names_is_known(
    autojump_clock: MockClock, screens: Screens
) -> None:
    async with await screens.program("reader") as program:
        described = (await program.get("/api/openapi.json")).json()
    for route in ROUTES:
        operation = described["paths"][route.path][route.method.lower()]
        assert operation["x-least-role"] == route.least.word
        assert operation["summary"] == route.what
    assert len({each["operationId"] for each in _operations(described)}) == len(ROUTES)
    assert {status // 100 for status, _ in REFUSALS.values()} == {4, 5}
    assert {each.status // 100 for each in FAMILIES.values()} == {4, 5}


def _operations(described: dict[str, dict[str, dict[str, dict[str, str]]]]) -> list[dict[str, str]]:
    return [each for path in described["paths"].values() for each in path.values()]


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "fr"),
        ("*", "fr"),
        ("de", "fr"),
        ("en", "en"),
        ("en-GB,en;q=0.9,fr;q=0.8", "en"),
        ("fr-FR,en", "fr"),
        ("de-DE, EN;q=0.1", "en"),
        ("x" * 300 + ",en", "fr"),
    ],
)
def test_the_first_known_language_counts(accepted: str, language: str) -> None:
    assert language_of(accepted) == language
