"""Every kind of file is recognised and explained; no secret and no text ever comes out."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509 import load_der_x509_certificate
from hypothesis import given
from hypothesis import strategies as st

from meshnode.dump import DumpError, explain_file, explain_untrusted
from meshnode.errors import StoreError
from meshnode.runtime import system_runtime
from meshnode.store import bundles as rows
from meshnode.store.engine import Store, open_store
from meshnode.trace import line_of
from protocol import authority
from protocol import bundle as bundles
from protocol.armour import TextForm, armour
from protocol.authority import DocumentClass
from protocol.bundle import Bundle, Header, Scope, Suite
from protocol.enrolment import encode_documents
from protocol.envelope import HpkeSealer
from protocol.errors import LimitExceededError, MalformedError
from protocol.ids import node_id_of, print_bundle_id, print_node_id
from protocol.limits import (
    DUMP_BYTES_MAX,
    DUMP_EVENTS_MAX,
    DUMP_FRAMES_MAX,
    DUMP_LINE_BYTES_MAX,
    DUMP_LIST_MAX,
    Kind,
)
from protocol.session.frames import FrameType, encode_frame
from protocol.stick import StickWriter, encode_bundle
from tests.meshnode.carrying import record_of
from tests.meshnode.dumping import (
    AUTHOR,
    KEY,
    SQUAD,
    TEXT,
    assert_hides,
    explain,
    make_bundle,
    make_roster,
)
from tests.meshnode.enrolling import (
    NOW_MS,
    PASSPHRASE,
    SEALER,
    invite,
    make_authority,
    opened,
    request,
    text_of,
)

# --- records -------------------------------------------------------------------------------------


def test_a_bundle_is_told_but_for_what_is_in_it() -> None:
    bundle = make_bundle()
    found = explain(bundle.raw)
    assert found["what"] == "bundle"
    assert found["id"] == print_bundle_id(bundle.id)
    assert found["author"] == print_node_id(AUTHOR)
    assert (found["kind"], found["class"], found["suite"]) == ("text", "message", "clear")
    assert found["scope"] == {"kind": "squad", "zone": 7, "target": SQUAD.hex()}
    assert (found["created_ms"], found["expires_ms"]) == (NOW_MS, NOW_MS + 3_600_000)
    assert found["created"] == "2027-01-15T08:00:00+00:00"
    assert (found["body_bytes"], found["digest"]) == (len(TEXT), bundle.digest.hex())
    assert_hides(found, TEXT, bundle.signature)


def test_a_device_in_a_scope_is_printed_as_people_read_it() -> None:
    found = explain(make_bundle(scope=Scope.for_device(7, AUTHOR)).raw)
    assert found["scope"] == {"kind": "device", "zone": 7, "target": print_node_id(AUTHOR)}


def test_a_date_outside_the_calendar_is_no_fault() -> None:
    scope = Scope.for_zone(7)
    header = Header(Suite.CLEAR, Kind.TEXT, AUTHOR, 5, 1, 2**64 - 1, 3_600, scope)
    found = explain(bundles.build(header, b"", KEY.sign).raw)
    assert (found["created_ms"], found["created"]) == (2**48 - 1, "outside the calendar")


def test_a_roster_names_its_members() -> None:
    found = explain(make_roster())
    assert (found["what"], found["class"], found["version"]) == ("authority document", "roster", 4)
    assert found["signers"] == [authority.document_signer(KEY).signer_id.hex()]
    assert found["roster"] == {
        "unit": "squad",
        "zone": 7,
        "id": SQUAD.hex(),
        "name": "Queyras",
        "members_count": 1,
        "members": [
            {
                "name": "Marie",
                "node": print_node_id(AUTHOR),
                "role": "leader",
                "device_class": "phone",
            }
        ],
    }


def test_a_document_with_an_odd_body_is_explained_as_far_as_it_goes() -> None:
    signer = authority.document_signer(KEY)
    odd = authority.build(DocumentClass.ROSTER, b"", (1, 1), NOW_MS, b"no roster", [signer]).raw
    assert "canonical" in explain(odd)["fault"]
    wipe = authority.build(DocumentClass.WIPE, b"", (1, 1), NOW_MS, b"12345", [signer]).raw
    assert explain(wipe)["body_bytes"] == 5


def test_documents_in_a_text_are_explained_each() -> None:
    found = explain(encode_documents([make_roster(), b"no document"]))
    assert found["what"] == "authority documents"
    assert found["documents"][0]["roster"]["name"] == "Queyras"
    assert set(found["documents"][1]) == {"fault", "bytes"}


# --- enrolment, on real papers -------------------------------------------------------------------


class Papers:
    """What one enrolment leaves, and the secrets that must stay in it."""

    def __init__(self, folder: Path) -> None:
        make_authority(folder)
        with opened(folder) as station:
            self.invitation = invite(station, "Marie")
            self.pending = request(folder / "device", self.invitation)
            self.answer = station.issue(self.pending.text, NOW_MS)
        self.authority_keys = sorted((folder / "authority").glob("*.pem"))


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("authority"))


def test_an_invitation_keeps_its_secret(papers: Papers) -> None:
    text = text_of(papers.invitation)
    found = explain(f"\n  {text}\n")
    assert (found["what"], found["name"], found["role"]) == ("invitation", "Marie", "agent")
    assert found["squads"] == ["Queyras"]
    assert found["expires_ms"] == 1_000 * papers.invitation.expires_s
    assert_hides(found, papers.invitation.secret, text)


def test_a_request_shows_its_code(papers: Papers) -> None:
    found = explain(papers.pending.text)
    assert (found["what"], found["code"]) == ("enrolment request", papers.pending.request.code)
    assert found["prekey"]["kind"] == "prekey"
    keys = papers.pending.keys
    private = [key.private_bytes_raw() for key in (keys.badge, keys.link)]
    assert_hides(found, *private, papers.pending.request.mac, papers.pending.prekey.secret.private)


def test_an_answer_is_explained_part_by_part(papers: Papers) -> None:
    found = explain(armour(TextForm.ANSWER, papers.answer.encode()))
    assert found["what"] == "enrolment answer"
    assert [each["kind"] for each in found["badge_chain"]] == ["badge", "badge issuer"]
    assert [each["kind"] for each in found["link_chain"]] == ["link certificate", "link issuer"]
    assert found["badge_chain"][0]["node"] == print_node_id(
        node_id_of(papers.pending.keys.badge.public_key().public_bytes_raw())
    )
    assert found["badge_chain"][0]["role"] == "agent"
    assert found["badge_chain"][1]["zone"] == 7
    classes = {each["class"] for each in found["documents"]}
    assert classes == {"root", "roster"}
    root = next(each["root"] for each in found["documents"] if each["class"] == "root")
    assert root["network"] == "Alpes"
    assert [each["kind"] for each in root["anchors"]] == ["root"]
    assert {rule["class"] for rule in root["rules"]} >= {"root", "roster"}
    assert found["sealed_secrets_bytes"] == len(papers.answer.sealed_secrets)
    assert_hides(found, papers.invitation.secret, papers.answer.mac, papers.answer.sealed_secrets)


@pytest.mark.parametrize("form", list(TextForm))
def test_a_mistyped_text_is_refused_with_what_is_wrong(form: TextForm) -> None:
    for text in (f"{form.word}:abc", f"{form.word}:abc~aaaaaa", f"{form.word}:é~aaaaaa"):
        with pytest.raises(MalformedError, match=r"text"):
            explain_untrusted(text.encode(), "x")


# --- certificates and keys -----------------------------------------------------------------------


def pem_of(key: Ed25519PrivateKey, lock: KeySerializationEncryption) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)


def test_a_certificate_is_explained_from_both_its_forms(papers: Papers) -> None:
    der = papers.answer.badge_chain[0]
    pem = load_der_x509_certificate(der).public_bytes(Encoding.PEM)
    one, other = explain(der), explain(pem)
    assert one["what"] == other["what"] == "certificate"
    for name in ("kind", "node", "role", "zone", "squads", "device_class", "valid_until_ms"):
        assert one[name] == other[name]
    assert (one["kind"], one["zone"], one["squads"]) == ("badge", 7, [SQUAD.hex()])


def test_a_file_of_several_blocks_is_explained_one_by_one(papers: Papers) -> None:
    pem = b"".join(
        load_der_x509_certificate(der).public_bytes(Encoding.PEM)
        for der in papers.answer.badge_chain
    )
    odd = b"-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n"
    stranger = b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
    key = pem_of(KEY, NoEncryption())
    found = explain(pem + odd + stranger + key)
    assert found["what"] == "PEM file"
    kinds = [each.get("kind", each["what"]) for each in found["parts"]]
    assert kinds == ["badge", "badge issuer", "certificate", "public key", "private key"]
    assert "fault" in found["parts"][2]
    assert_hides(found, bytes(range(32)), key.splitlines()[1])


def test_a_private_key_is_said_to_be_one_and_not_shown(papers: Papers) -> None:
    for lock, is_encrypted in ((NoEncryption(), False), (BestAvailableEncryption(b"pin"), True)):
        pem = pem_of(KEY, lock)
        found = explain(pem)
        assert (found["what"], found["is_encrypted"]) == ("private key", is_encrypted)
        assert found["key"] == "not shown"
        assert_hides(found, bytes(range(32)), *pem.splitlines()[1:-1])
    assert papers.authority_keys
    for path in papers.authority_keys:
        found = explain_file(path)
        assert found["what"] == "private key"
        assert_hides(found, PASSPHRASE, *path.read_bytes().splitlines()[1:-1])


def test_blocks_of_a_pem_file_are_bounded() -> None:
    block = b"-----BEGIN X-----\n-----END X-----\n"
    assert len(explain(block * (DUMP_LIST_MAX + 1))["parts"]) == DUMP_LIST_MAX
    with pytest.raises(MalformedError):
        explain_untrusted(b"-----BEGIN PRIVATE KEY-----\nAAAA", "x")


# --- sealed files and stores ---------------------------------------------------------------------


def sealed_file(bundle: Bundle) -> bytes:
    records = [HpkeSealer().make_prekey(NOW_MS)[1] for _ in range(2)]
    writer = StickWriter(records, SEALER, os.urandom)
    chunks = writer.feed(encode_bundle(0, bundle.raw) * 500)
    return b"".join([writer.preamble, *chunks, writer.finish()])


def test_a_sealed_file_tells_its_slots_and_its_size(tmp_path: Path) -> None:
    bundle = make_bundle()
    file = sealed_file(bundle)
    path = tmp_path / "carry.mesh"
    path.write_bytes(file)
    found = explain_file(path)
    assert (found["what"], found["file"], found["file_bytes"]) == (
        "sealed file",
        "carry.mesh",
        len(file),
    )
    assert found["recipients_count"] == len(found["recipients"]) == 2
    assert found["content_bytes"] == 500 * len(encode_bundle(0, bundle.raw))
    assert found["chunks"] == 2
    assert "fault" not in found
    assert explain_untrusted(file, "carry.mesh") == found
    assert "fault" in explain(file[: 12 + found["header_bytes"]])
    for damaged in (file[:30], file[:8] + b"\xff" * 4):
        with pytest.raises((MalformedError, LimitExceededError)):
            explain_untrusted(damaged, "x")


def test_a_sealed_file_larger_than_memory_is_told_from_its_head(tmp_path: Path) -> None:
    path = tmp_path / "large.mesh"
    path.write_bytes(sealed_file(make_bundle()))
    os.truncate(path, 3_000_000_000)
    assert explain_file(path)["file_bytes"] == 3_000_000_000


async def fill(store: Store) -> None:
    made = [make_bundle(seq) for seq in (1, 2, 3)] + [make_bundle(4, Kind.SOS)]
    records = [record_of(each, 0) for each in made]
    await store.write(lambda tx: rows.add_many(tx, records))


async def test_a_store_is_counted_while_its_node_runs(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    async with open_store(path, system_runtime()) as store:
        await fill(store)
        running = explain_file(path)
    assert running["what"] == "store"
    assert running["tables"]["bundle"] == 4
    assert running["tables"]["author"] == 1
    assert running["classes"]["message"]["bundles"] == 3
    assert running["classes"]["sos"]["bundles"] == 1
    assert running["classes"]["message"]["bundle_bytes"] == sum(
        len(make_bundle(seq).raw) for seq in (1, 2, 3)
    )
    assert_hides(running, TEXT, AUTHOR)
    closed = explain_file(path)
    assert closed["tables"] == running["tables"]
    assert closed["store_schema"] == running["store_schema"] != ""
    with pytest.raises(MalformedError, match="from its file"):
        explain_untrusted(path.read_bytes(), "store.sqlite")


async def test_a_store_is_not_changed_by_the_look_at_it(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    async with open_store(path, system_runtime()) as store:
        await fill(store)
    before, os_before = path.read_bytes(), os.listdir(tmp_path)
    explain_file(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == os_before


def other_database(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return path


def test_a_database_of_somebody_else_is_refused(tmp_path: Path) -> None:
    strange = other_database(tmp_path / "strange", "CREATE TABLE notes (text)")
    tables = "CREATE TABLE alembic_version (version_num)", "CREATE VIEW bundle AS SELECT 1"
    view = other_database(tmp_path / "view", *tables)
    for path in (strange, view):
        with pytest.raises(StoreError, match="not the store of a node"):
            explain_file(path)
    odd = other_database(
        tmp_path / "odd",
        "CREATE TABLE alembic_version (version_num)",
        "CREATE TABLE bundle (traffic_class, size_bytes)",
        "INSERT INTO bundle VALUES ('high', 'large')",
    )
    damaged = tmp_path / "damaged"
    damaged.write_bytes(strange.read_bytes()[:100] + b"\xff" * 4_000)
    for path in (odd, damaged):
        with pytest.raises(StoreError):
            explain_file(path)


# --- captures ------------------------------------------------------------------------------------


def test_frames_of_a_session_are_listed_and_counted() -> None:
    frames = [
        encode_frame(FrameType.HELLO, TEXT),
        encode_bundle(2, make_bundle().raw),
        encode_bundle(2, make_bundle(2).raw),
        encode_frame(FrameType.PING, bytes(8)),
    ]
    found = explain(b"".join(frames) + b"\x22\xff")
    assert found["what"] == "session frames"
    assert found["frames_count"] == 4
    assert [each["type"] for each in found["frames"]] == ["HELLO", "BUNDLE", "BUNDLE", "PING"]
    assert found["types"]["BUNDLE"] == {
        "frames": 2,
        "payload_bytes": len(frames[1]) + len(frames[2]) - 6,
    }
    assert found["rest_bytes"] == 2
    assert_hides(found, TEXT)


def test_frames_are_listed_up_to_a_bound_and_counted_beyond() -> None:
    found = explain(encode_frame(FrameType.PONG, bytes(8)) * (DUMP_LIST_MAX + 1))
    assert (len(found["frames"]), found["frames_count"]) == (DUMP_LIST_MAX, DUMP_LIST_MAX + 1)


@pytest.mark.slow
def test_counting_frames_ends() -> None:
    found = explain(encode_frame(FrameType.DOCUMENTS_END, b"") * (DUMP_FRAMES_MAX + 5))
    assert (found["frames_count"], found["rest_bytes"]) == (DUMP_FRAMES_MAX, 15)


def test_events_of_a_trace_are_counted() -> None:
    lines = [
        line_of(NOW_MS + 5, "peer_up", {"remote": "10.0.0.7"}),
        line_of(NOW_MS, "peer_up", {"remote": "10.0.0.8"}),
        line_of(NOW_MS + 9, "bundle_stored", {"reason": TEXT.decode()}),
        '{"event": "not an event, but a text", "at_ms": 1}',
        '{"at_ms": 1}',
        "[1]",
        "[" * 5_000,
        '{"event": "cut',
        '{"event": "late", "at_ms": 1' + " " * DUMP_LINE_BYTES_MAX + "}",
    ]
    found = explain("\n".join(lines))
    assert (found["what"], found["lines"], found["odd_lines"]) == ("trace", 3, 6)
    assert found["events"] == {"bundle_stored": 1, "peer_up": 2}
    assert (found["first_ms"], found["last_ms"]) == (NOW_MS, NOW_MS + 9)
    assert_hides(found, TEXT, "not an event", "10.0.0.7")


def test_kinds_of_events_are_bounded() -> None:
    lines = [line_of(number, f"event_{number}", {}) for number in range(DUMP_EVENTS_MAX + 3)]
    events = explain("\n".join(lines))["events"]
    assert len(events) == DUMP_EVENTS_MAX + 1
    assert events["(others)"] == 3


def test_json_that_is_no_trace_is_refused() -> None:
    with pytest.raises(MalformedError):
        explain_untrusted(b'{"salt": "00", "cost": 2}', "passphrase.json")


# --- anything else -------------------------------------------------------------------------------


SAMPLES = [
    make_bundle().raw,
    make_roster(),
    encode_documents([make_roster()]).encode(),
    encode_bundle(0, make_bundle().raw),
    pem_of(KEY, NoEncryption()),
    sealed_file(make_bundle())[:3_000],
    line_of(NOW_MS, "peer_up", {"remote": "x"}).encode(),
]
MARKS = [b"", b"MESHI1:", b"MESHSTK1", b"-----BEGIN CERTIFICATE-----", b"{", b"SQLite format 3\0"]


@pytest.mark.slow
@given(
    st.binary(max_size=200)
    | st.tuples(st.sampled_from(MARKS), st.binary(max_size=60)).map(b"".join)
    | st.tuples(st.sampled_from(SAMPLES), st.integers(0, 3_000), st.binary(max_size=3)).map(
        lambda part: part[0][: part[1]] + part[2] + part[0][part[1] + len(part[2]) :]
    )
)
def test_any_bytes_are_explained_or_refused_by_name(raw: bytes) -> None:
    with suppress(MalformedError, LimitExceededError):
        explain(raw)


@given(st.integers(0, len(make_bundle().raw)), st.binary(max_size=3))
def test_a_damaged_bundle_never_shows_its_text(place: int, change: bytes) -> None:
    raw = make_bundle().raw
    with suppress(MalformedError, LimitExceededError):
        assert_hides(explain(raw[:place] + change + raw[place + len(change) :]), TEXT)


def test_the_unknown_and_the_unreadable_are_said(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe, tmp_path / "missing"):
        with pytest.raises(DumpError):
            explain_file(path)
    for raw in (b"", b"hello", bytes(100)):
        (tmp_path / "unknown").write_bytes(raw)
        with pytest.raises(MalformedError, match="recognised"):
            explain_file(tmp_path / "unknown")


@pytest.mark.slow
def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x")
    os.truncate(path, 1 << 40)
    with pytest.raises(LimitExceededError):
        explain_file(path)
    os.truncate(path, DUMP_BYTES_MAX)
    with pytest.raises(MalformedError):
        explain_file(path)


def test_a_name_that_is_no_text_can_be_printed(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"odd\xff")
    path.write_bytes(make_bundle().raw)
    assert explain_file(path)["file"] == "odd\\udcff"
