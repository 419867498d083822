"""Reflex sheets on real nodes: published, carried, replaced, retracted, found, never in clear."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.errors import LockedError, SendError
from meshnode.services.sheet_folder import read_folder
from meshnode.store import keyring
from meshnode.store import sheets as kept
from meshnode.store.engine import Connection
from protocol.bundle import Bundle, Scope, Suite
from protocol.envelope import pad, seal_message, sheets_message_key
from protocol.identity import Role
from protocol.limits import Kind
from protocol.network_keys import KeyPurpose
from protocol.sheet_bounds import SHEET_RENEW_MS
from protocol.sheets import NOTHING, Catalogue, Sheet, SheetForm, encode_catalogue, sheet_id_of
from sims.fleet import ZONE, DevicePlan
from tests.meshnode.rig import SQUAD, Member, Rig, open_rig
from tests.meshnode.viewer.odf_files import PROCEDURE, odt

PLANS = (
    DevicePlan("codt", Role.OPERATOR),
    DevicePlan("garde", Role.OPERATOR),
    DevicePlan("anna", Role.AGENT, (SQUAD,)),
    DevicePlan("bruno", Role.AGENT, (SQUAD,)),
    DevicePlan("box", Role.RELAY, (SQUAD,)),
)
MER = "# Homme à la mer\n\nDonner l'alerte, jeter une bouée.\n"
FOUILLE = "# Fouille d'un véhicule\n\nProcédures : ouvrir les coffres, relever les scellés.\n"
SHEETS = (Kind.SHEETS, Kind.CHUNK)


@pytest.fixture
async def rig(autojump_clock: MockClock) -> AsyncIterator[Rig]:
    async with open_rig(PLANS, is_sealed=True) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "fiches"
    made.mkdir()
    (made / "Homme à la mer.md").write_text(MER)
    (made / "fouille.txt").write_text(FOUILLE.replace("# ", ""))
    (made / "navire.odt").write_bytes(odt("Contrôle d'un navire", PROCEDURE, "abordage"))
    (made / ".cache.md").write_text("x")
    (made / "notes.docx").write_text("x")
    return made


def api(member: Member) -> Api:
    return Api(member.node)


async def names(member: Member, *, whole: bool = True) -> list[str]:
    found = await api(member).sheets()
    return [each["name"] for each in found["sheets"] if each["is_whole"] or not whole]


async def reason(coroutine: object) -> str:
    with pytest.raises(SendError) as caught:
        await coroutine  # type: ignore[misc]
    return caught.value.reason


async def test_a_pack_reaches_agents_over_a_carrier_that_reads_none(rig: Rig, folder: Path) -> None:
    codt, anna, box = rig["codt"], rig["anna"], rig["box"]
    done = await api(codt).sheets_publish(str(folder))
    assert done == {
        "version": 1,
        "added": ["fouille", "homme-a-la-mer", "navire"],
        "replaced": [],
        "unchanged": [],
    }
    await rig.carry("codt", "box", *SHEETS)
    assert await names(box, whole=False) == []
    # Chunks come first: they wait for the catalogue that tells of them.
    await rig.carry("box", "anna", Kind.CHUNK)
    assert await names(anna, whole=False) == []
    await rig.carry("box", "anna", Kind.SHEETS)
    assert await names(anna) == ["fouille", "homme-a-la-mer", "navire"]
    shown = await api(anna).sheet("Homme à la mer")
    assert (shown["title"], shown["version"]) == ("Homme à la mer", 1)
    assert "jeter une bouée" in shown["text"]
    assert "1. Relever le pavillon" in (await api(anna).sheet("navire"))["text"]


async def test_french_words_find_sheets(rig: Rig, folder: Path) -> None:
    await api(rig["codt"]).sheets_publish(str(folder))
    await rig.carry("codt", "bruno", Kind.SHEETS)
    bruno = api(rig["bruno"])

    async def found(words: str) -> list[str]:
        return [each["name"] for each in await bruno.sheets_search(words)]

    # Only titles are here.
    assert await found("navires") == ["navire"]
    assert await found("bouée") == []
    await rig.carry("codt", "bruno", Kind.CHUNK)
    for words in ("procedure", "PROCÉDURE", "les procédures", "scellé", "coffre fouilles"):
        assert await found(words) == ["fouille"], words
    assert await found("alerte bouee") == ["homme-a-la-mer"]
    assert await found("abordages") == ["navire"]
    assert await found("pavil") == ["navire"]
    assert await found("alerte scellés") == []
    assert await found("de la") == []


async def test_newer_replaces_and_an_older_catalogue_changes_nothing(
    rig: Rig, folder: Path
) -> None:
    codt, anna = rig["codt"], rig["anna"]
    await api(codt).sheets_publish(str(folder))
    old = await codt.held(*SHEETS)
    await rig.mix("codt", "anna")
    (folder / "fouille.txt").write_text("Fouille\n\nAttendre le chien.\n")
    done = await api(codt).sheets_publish(str(folder))
    assert (done["version"], done["replaced"], len(done["unchanged"])) == (2, ["fouille"], 2)
    await rig.mix("codt", "anna")
    assert "chien" in (await api(anna).sheet("fouille"))["text"]
    await anna.take(old)
    assert "chien" in (await api(anna).sheet("fouille"))["text"]
    assert (await api(anna).sheets())["version"] == 2
    assert await anna.store.read(kept.have) == await codt.store.read(kept.have)
    assert anna.metric("sheets_destroyed") == 1
    # What did not change did not travel again: one chunk and the catalogue did.
    assert len({bundle.id for bundle in (*old, *await codt.held(*SHEETS))}) == len(old) + 2


async def test_a_retracted_sheet_is_destroyed_and_never_opens_again(rig: Rig, folder: Path) -> None:
    codt, anna, bruno = rig["codt"], rig["anna"], rig["bruno"]
    await api(codt).sheets_publish(str(folder))
    old = await codt.held(*SHEETS)
    await rig.mix("codt", "anna", "box")
    await anna.node.sheet_search.search("fouille", 9)
    assert (await api(codt).sheet_retract("fouille"))["version"] == 1
    await rig.mix("codt", "anna", "box", "bruno")
    for member in (codt, anna, bruno):
        assert await names(member) == ["homme-a-la-mer", "navire"]
        assert await reason(api(member).sheet("fouille")) == "retracted"
        assert await api(member).sheets_search("scellés") == []
        await member.take(old)
        assert await reason(api(member).sheet("fouille")) == "retracted"
        assert len(await member.store.read(kept.have)) == 2
    # Carriers let go of its chunks, too.
    assert [len(await rig[name].held(Kind.CHUNK)) for name in ("codt", "box", "anna")] == [2, 2, 2]
    # The same file again is a new version: people saw that it was published anew.
    done = await api(codt).sheets_publish(str(folder))
    assert done["added"] == ["fouille"]
    await rig.mix("codt", "bruno")
    assert (await api(bruno).sheet("fouille"))["version"] == 2


async def test_two_operators_who_had_not_met_lose_nothing(rig: Rig, tmp_path: Path) -> None:
    codt, garde, anna = rig["codt"], rig["garde"], rig["anna"]
    for number, (member, content) in enumerate(((codt, MER), (garde, FOUILLE))):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / f"f{number}.md").write_text(content)
        await api(member).sheets_publish(str(folder))
    await rig.mix("codt", "garde", "anna")
    assert await names(anna) == ["f0", "f1"]
    # Another operator retracts what it did not publish.
    await api(garde).sheet_retract("f0")
    await rig.mix("codt", "garde", "anna")
    assert [await names(each) for each in (codt, garde, anna)] == [["f1"]] * 3


async def test_agents_publish_nothing(rig: Rig, folder: Path) -> None:
    anna, bruno = rig["anna"], rig["bruno"]
    assert await reason(api(anna).sheets_publish(str(folder))) == "no_right"
    assert await reason(api(anna).sheet_retract("navire")) == "no_right"
    await bruno.take([await forged(anna, encode_catalogue(FORGED))])
    assert await names(bruno, whole=False) == []
    assert bruno.metric("sheets_refused") == 1


FORGED = Catalogue(
    9, (Sheet("faux", 9, "Faux", "", (), SheetForm.TEXT, 9, bytes(32), bytes(32)),), {}
)


async def forged(member: Member, plaintext: bytes, number: int = 1, **more: object) -> Bundle:
    """Return a catalogue that a member really signs, under the key that the zone has."""

    def keys(conn: Connection) -> dict[bytes, bytes]:
        return keyring.network_keys(conn, KeyPurpose.ZONE_SOS)

    key_id, zone_key = next(iter((await member.store.read(keys)).items()))
    scope = Scope.for_zone(ZONE)
    fields = {"suite": Suite.ZONE, "keyref": key_id, **more}
    header = member.header(Kind.SHEETS, scope, number, **fields)
    key = sheets_message_key(zone_key, header.id)
    return member.forge(header, seal_message(key, header.encode(), pad(plaintext)))


async def test_a_catalogue_that_lies_changes_nothing(rig: Rig, folder: Path) -> None:
    codt, anna = rig["codt"], rig["anna"]
    await api(codt).sheets_publish(str(folder))
    await rig.mix("codt", "anna")
    before = await anna.store.read(kept.catalogue)
    for number, plaintext in enumerate((b"", b"\x00", b"\x94\x01\x01\x90", bytes(999))):
        await anna.take([await forged(codt, plaintext, number)])
    assert await anna.store.read(kept.catalogue) == before
    assert anna.metric("messages_unopenable") == 4


async def test_a_catalogue_under_a_key_that_comes_later_is_tried_again(
    rig: Rig, folder: Path
) -> None:
    codt, anna = rig["codt"], rig["anna"]
    await anna.take([await forged(codt, encode_catalogue(FORGED), keyref=b"\0" * 8)])
    assert await names(anna, whole=False) == []
    assert anna.metric("messages_unopenable") == 0


async def test_a_restart_and_a_lock(rig: Rig, folder: Path) -> None:
    codt, anna = rig["codt"], rig["anna"]
    await api(codt).sheets_publish(str(folder))
    await rig.mix("codt", "anna")
    assert anna.parts.desk is not None
    await anna.node.lock()
    for call in (api(anna).sheets, partial(api(anna).sheet, "navire")):
        with pytest.raises(LockedError):
            await call()
    with pytest.raises(LockedError):
        await api(anna).sheets_search("navire")
    # While it is locked it carries: what came is opened by the next desk.
    (folder / "nouveau.txt").write_text("Nouveau\n")
    await api(codt).sheets_publish(str(folder))
    await rig.carry("codt", "anna", *SHEETS)
    anna.node.open_desk(anna.parts.desk)
    await anna.node.settle()
    assert await names(anna) == ["fouille", "homme-a-la-mer", "navire", "nouveau"]


async def test_what_a_crash_left_of_a_publication_goes_at_the_next_start(
    rig: Rig, folder: Path
) -> None:
    codt = rig["codt"]
    await api(codt).sheets_publish(str(folder))
    await codt.store.write(lambda tx: kept.add_pieces(tx, b"stray678", 1, {0: b"half"}))
    assert codt.parts.desk is not None
    await codt.node.lock()
    codt.node.open_desk(codt.parts.desk)
    await codt.node.settle()
    assert len(await codt.store.read(kept.have)) == 3


async def test_nothing_of_a_sheet_lies_in_clear(rig: Rig, folder: Path) -> None:
    codt, anna = rig["codt"], rig["anna"]
    await api(codt).sheets_publish(str(folder))
    await rig.mix("codt", "anna")
    assert await api(anna).sheets_search("alerte")

    def columns(conn: Connection) -> bytes:
        found = []
        for name in ("sheet", "sheet_piece", "sheet_pack", "sheet_retracted", "bundle"):
            found += [str(tuple(row)) for row in conn.exec_driver_sql(f"SELECT * FROM {name}")]
        return "".join(found).encode()

    for member in (codt, anna):
        raw = await member.store.read(columns)
        assert len(raw) > 2_000
        # Of a short word the quotes or its neighbour, too: three bytes stand there by chance.
        for word in (b"bou\xc3", b"Homme", b"alerte", b"navire", b"'mer'", b"la mer", b"la-mer"):
            assert word not in raw


async def test_what_was_published_is_kept_on_its_way(
    autojump_clock: MockClock, rig: Rig, folder: Path
) -> None:
    codt, anna = rig["codt"], rig["anna"]
    await api(codt).sheets_publish(str(folder))
    first = {bundle.id for bundle in await codt.held(*SHEETS)}
    await codt.node.settle()
    assert {bundle.id for bundle in await codt.held(*SHEETS)} == first
    await trio.sleep(SHEET_RENEW_MS / 1000 + 1)
    await codt.node.settle()
    fresh = [bundle for bundle in await codt.held(*SHEETS) if bundle.id not in first]
    assert sorted(bundle.header.kind for bundle in fresh) == [Kind.CHUNK] * 3 + [Kind.SHEETS]
    await anna.take(fresh)
    assert len(await names(anna)) == 3


async def test_a_damaged_sheet_says_so_and_comes_again(rig: Rig, folder: Path) -> None:
    codt, anna = rig["codt"], rig["anna"]
    await api(codt).sheets_publish(str(folder))
    await rig.mix("codt", "anna")
    await anna.store.write(
        lambda tx: tx.connection.exec_driver_sql(
            "UPDATE sheet_piece SET body = zeroblob(60) WHERE number = 0"
        )
    )
    assert await reason(api(anna).sheet("navire")) == "not_whole"
    await anna.node.settle()
    assert "pavillon" in (await api(anna).sheet("navire"))["text"]
    assert anna.metric("sheets_damaged") == 1


async def test_pages_of_html_are_new_files(rig: Rig, folder: Path, tmp_path: Path) -> None:
    codt = rig["codt"]
    await api(codt).sheets_publish(str(folder))
    told = await api(codt).sheet_html("navire", str(tmp_path))
    assert told == {"path": str(tmp_path / "navire.html")}
    assert "Fiche navire, version 1." in _page(told)
    assert await reason(api(codt).sheet_html("navire", str(tmp_path))) == "file"
    assert "Sheet navire" in _page(await api(codt).sheet_html("navire", str(tmp_path / "x"), "en"))


def _page(told: dict[str, str]) -> str:
    assert Path(told["path"]).stat().st_mode & 0o077 == 0
    return Path(told["path"]).read_text()


# --- folders ---------------------------------------------------------------------------------


def test_titles_and_names_of_a_folder(folder: Path) -> None:
    found = read_folder(folder)
    assert [(each.name, each.title) for each in found] == [
        ("homme-a-la-mer", "Homme à la mer"),
        ("fouille", "fouille"),
        ("navire", "Contrôle d'un navire"),
    ]
    assert found[2].keywords == ("abordage",)


def refusal(folder: Path) -> str:
    with pytest.raises(SendError) as caught:
        read_folder(folder)
    return str(caught.value)


def test_folders_that_are_refused(folder: Path, tmp_path: Path) -> None:
    assert "cannot read" in refusal(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "holds no" in refusal(tmp_path / "empty")
    (folder / "HOMME-A-LA-MER.txt").write_text("x")
    assert "two files" in refusal(folder)
    (folder / "HOMME-A-LA-MER.txt").unlink()
    (folder / "bombe.odt").write_bytes(b"PK no document")
    assert "bombe.odt cannot be shown" in refusal(folder)
    (folder / "bombe.odt").write_bytes(b"")
    assert "is empty" in refusal(folder)


def test_the_catalogue_of_nothing_names_nothing() -> None:
    assert NOTHING.find("x") is None
    assert len(sheet_id_of("x")) == 8
