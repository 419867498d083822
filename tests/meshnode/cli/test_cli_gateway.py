"""`meshnode gateway` and `meshnode retention`, typed into the real program."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
import trio

from meshnode.vault.kinds import DAY_MS
from protocol.identity import Role
from tests.meshnode.cli.people import SETTINGS, People
from tests.meshnode.enrolling import NOW_MS
from tests.meshnode.gateway.parts import node
from tests.meshnode.homes import enrolled_home

pytestmark = [pytest.mark.slow, pytest.mark.real]


async def _make(folder: Path) -> None:
    for name, role in (("anna", Role.AGENT), ("codt gateway", Role.GATEWAY)):
        home, _accepted = await enrolled_home(folder, name, role)
        (home / "meshnode.toml").write_text(SETTINGS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gateway homes")
    trio.run(_make, folder)
    return folder


@pytest.fixture
def people(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> People:
    # The homes were enrolled at that hour.
    monkeypatch.setattr("meshnode.runtime._now_ms", lambda: NOW_MS)
    for name in ("codt gateway", "anna"):
        shutil.copytree(made / name, tmp_path / name)
    return People(tmp_path)


HOME = "codt gateway"


def test_a_gateway_without_an_archive_says_how_to_begin_one(people: People) -> None:
    assert "'meshnode gateway run' begins one" in people.reads(HOME, "gateway", "status")
    assert "'meshnode gateway run'" in people.fails(6, HOME, "gateway", "search", "pont")
    assert "Il n'y a pas encore d'archives" in people.reads(
        HOME, "--lang", "fr", "gateway", "status"
    )


def test_an_agents_device_keeps_none(people: People) -> None:
    assert "neither a gateway's" in people.fails(8, "anna", "gateway", "status")
    assert "neither a gateway's" in people.fails(8, "anna", "retention", "show")


def test_terms_are_shown_with_bounds_and_reasons(people: People) -> None:
    shown = people.reads(HOME, "retention", "show")
    assert "61 days" in shown
    assert "1-365" in shown
    assert "French guidance" in shown
    found = people.json(HOME, "retention", "show")
    assert {each["class"]: each["days"] for each in found["terms"]}["positions"] == 61
    french = people.reads(HOME, "--lang", "fr", "retention", "show")
    assert "vacations" in french
    assert "61 jours" in french


def test_a_term_beyond_its_bounds_stops_the_start(people: People) -> None:
    settings = people.home(HOME) / "meshnode.toml"
    settings.write_text(SETTINGS + "[retention]\npositions = 366\n")
    assert "retention.positions" in people.fails(3, HOME, "retention", "show")
    settings.write_text(SETTINGS + '[gateway]\ndatabase = "mysql://x:the-password@y/z"\n')
    failed = people.fails(3, HOME, "gateway", "status")
    assert "gateway.database" in failed
    assert "the-password" not in failed


def test_moments_are_dates_and_times(people: People) -> None:
    assert "no moment" in people.fails(2, HOME, "gateway", "search", "--from", "yesterday")


def test_an_archive_is_begun_searched_exported_and_purged(people: People, tmp_path: Path) -> None:
    from meshnode.client import open_api
    from tests.meshnode.homes import runtime

    async def begin() -> None:
        async with open_api(people.home(HOME), runtime()) as api:
            assert await api.archive_found()

    trio.run(begin)
    status = people.reads(HOME, "gateway", "status")
    assert "SQLite" in status
    assert "holds nothing" in people.reads(HOME, "gateway", "search", "pont")
    assert people.json(HOME, "gateway", "carried")["found"] == []
    file = str(tmp_path / "export.zip")
    asked = ("gateway", "export", file, "--reason", "a court", "--from", "2026-05-01")
    assert "no. 1 of the purge log" in people.reads(HOME, *asked)
    assert "a court" in people.reads(HOME, "gateway", "verify", file)
    answer = str(tmp_path / "answer")
    held = people.reads(HOME, "gateway", "held", HOME, "--certificate", answer)
    assert "1827 days" in held
    assert "1827 days" in people.reads(HOME, "gateway", "verify", answer)
    assert people.json(HOME, "retention", "apply")["keys"] == 0
    log = people.reads(HOME, "retention", "log")
    assert "a court" in log
    assert "3 entries" in people.reads(HOME, "retention", "verify")
    key = str(tmp_path / "key")
    assert "gateways and operators" in people.fails(
        6, HOME, "gateway", "key", "export", key, "--to", "anna"
    )
    Path(key).write_bytes(b"nonsense")
    assert "already" not in people.fails(6, HOME, "gateway", "key", "import", key)


@pytest.fixture
def reporting(people: People) -> People:
    """A gateway whose archive holds what a made-up month left."""
    from meshnode.running import open_guarded
    from tests.meshnode.gateway.parts import NOW_MS as MONTH_MS
    from tests.meshnode.gateway.report_rows import month
    from tests.meshnode.homes import ALONE, runtime

    async def fill() -> None:
        async with open_guarded(people.home(HOME), ALONE, runtime()) as guard:
            assert guard.gateway is not None
            guard.gateway.found()
            archive = await guard.gateway.archive()
            shift_ms = (NOW_MS - MONTH_MS) // DAY_MS * DAY_MS
            await archive.put(
                [
                    each._replace(
                        created_ms=each.created_ms + shift_ms,
                        expires_ms=each.expires_ms + shift_ms,
                        at_ms=each.at_ms + shift_ms,
                    )
                    for each in month(1).taken
                ]
            )

    trio.run(fill)
    return people


def test_a_report_is_shown_and_written_with_plots(reporting: People, tmp_path: Path) -> None:
    shown = reporting.reads(HOME, "gateway", "report")
    assert "Arrivals by day" in shown
    assert "others together" in shown
    assert "not mean that a message was lost" in shown
    found = reporting.json(HOME, "gateway", "report")
    written = {}
    for form in ("html", "csv", "json"):
        path = tmp_path / f"report.{form}"
        words = ("--lang", "fr", "gateway", "report", "--output", str(path))
        assert str(path) in reporting.reads(HOME, *words)
        written[form] = path.read_text()
    assert json.loads(written["json"])["arrivals"] == found["arrivals"]
    # Every tag is closed but those of the head, which HTML leaves open.
    page = ElementTree.fromstring(re.sub("<!doctype html>|<meta [^>]*>", "", written["html"]))
    assert page.get("lang") == "fr"
    assert len(page.findall(".//svg")) >= 8
    assert len(page.findall(".//table")) >= len(page.findall(".//svg"))
    for foreign in ("http:", "https:", "<script", "src=", "@import", "url("):
        assert foreign not in written["html"]
    rows = list(csv.DictReader(written["csv"].splitlines()))
    total = {each["measure"]: each["value"] for each in rows if each["by"] == ""}
    assert total["bundles"] == str(found["arrivals"]["total"]["bundles"])
    names = [each.name for each in (reporting.home(HOME), tmp_path / "anna")]
    for text in written.values():
        for who in (*names, *(node(number).hex() for number in range(24))):
            assert who not in text


def test_a_report_says_what_is_wrong_with_its_words(people: People, tmp_path: Path) -> None:
    assert "no day" in people.fails(2, HOME, "gateway", "report", "--since", "May")
    wrong = str(tmp_path / "report.pdf")
    assert ".html, .csv or .json" in people.fails(2, HOME, "gateway", "report", "--output", wrong)
