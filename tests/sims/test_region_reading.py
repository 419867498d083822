"""Files that describe a region: what they become, and that every mistake in one is named."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.errors import MeshError
from sims.abstract.records import Options, PolicyName
from sims.contacts import TraceError
from sims.costs import LoraFigures, SatelliteFigures
from sims.energy import EnergyFigures
from sims.region_reading import RegionScenario, load_region
from sims.scenario import ScenarioError
from sims.scenario_files import about_of, included_scenarios, kind_of

HEAD = 'about = "A small city."\nduration_s = 7200\n'
SMALL = f"{HEAD}[city]\nagents = 4\nstreets = 3\nshifts = 1\n"
CONTACTS = "t_start,t_end,a,b\n0,10,0,1\n5,600,1,2\n"
MESSAGES = "id,t,src,dst,size,ttl,prio\nM0,5,1,0,500,60,0\n"
NODES = "id,role,group\n0,gateway,-1\n1,vehicle,A\n2,agent,A\n"


def load(folder: Path, text: str, seed: int = 1) -> RegionScenario:
    """Return the region of a file with that text."""
    file = folder / "mine.toml"
    file.write_text(text)
    return load_region(str(file), seed)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a small trace."""
    (tmp_path / "contacts.csv").write_text(CONTACTS)
    (tmp_path / "messages.csv").write_text(MESSAGES)
    (tmp_path / "nodes.csv").write_text(NODES)
    return tmp_path


def test_what_is_not_said_has_its_default(folder: Path) -> None:
    found = load(folder, SMALL, 7)
    assert (found.name, found.about, found.seed) == ("mine", "A small city.", 7)
    assert found.region.name == "mine"
    assert found.region.duration_s == 7_200
    assert found.options == Options(seed=7)
    assert found.energy == EnergyFigures()
    assert found.satellite == SatelliteFigures()
    assert found.lora == LoraFigures()
    assert found.timetable is None
    assert len(found.region.roles) == 1 + 3 + 4


def test_what_is_said_is_taken(folder: Path) -> None:
    found = load(
        folder,
        SMALL
        + "[radio]\nrate_bytes_s = 1000\nrange_m = [5, 6]\nstep_s = 60\n"
        + "[store]\nbuffer_bytes = 0\n"
        + "[routing]\npolicy = 'spray'\ncopies = 4\nhas_receipts = true\nhas_resume = false\n"
        + "[workload]\nurgent_per_day = 100\nnormal_per_day = 0\nbulk_per_day = 0\n"
        + "[energy]\nscan_j = 1\n[satellite]\nunit_euros = 1\n[lora]\npreset = 'ShortFast'\n",
    )
    assert found.options == Options(PolicyName.SPRAY, 0, 1000.0, 1, 4, True, False)
    assert set(found.region.workload.priority.tolist()) == {0}
    assert found.energy.scan_j == 1
    assert found.satellite.unit_euros == 1
    assert found.lora.preset == "ShortFast"
    assert (found.region.plan.start_s % 60 == 0).all()


def test_a_trace_is_read_from_beside_the_file(folder: Path) -> None:
    text = (
        "about = 'x'\n[trace]\ncontacts = 'contacts.csv'\nmessages = 'messages.csv'\n"
        "nodes = 'nodes.csv'\n"
    )
    region = load(folder, text).region
    assert len(region.plan) == 2
    assert region.roles == ("gateway", "relay", "agent")
    assert region.workload.names == ("M0",)
    drawn = load(
        folder,
        text.replace("messages = 'messages.csv'\n", "") + "[workload]\n"
        "normal_per_day = 3000\nwritten_share = 1\n",
    ).region
    assert len(drawn.workload) > 5
    assert set(drawn.workload.source.tolist()) <= {0, 2}
    longer = load(folder, "days = 1\n" + text).region
    assert longer.duration_s == 86_400


def test_messages_of_a_region_that_is_made_up_can_come_from_a_file(folder: Path) -> None:
    found = load(folder, f"{SMALL}[workload]\nmessages = 'messages.csv'\n")
    assert found.region.workload.names == ("M0",)


def test_tracks_become_contacts(folder: Path) -> None:
    points = "".join(
        f'<trkpt lat="45.0" lon="6.{place:04d}"><time>2024-01-01T00:{place:02d}:00Z</time></trkpt>'
        for place in range(10)
    )
    for name in ("a", "b"):
        (folder / f"{name}.gpx").write_text(
            '<gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1">'
            f"<trk><trkseg>{points}</trkseg></trk></gpx>"
        )
    found = load(
        folder, "about = 'x'\n[tracks]\nfiles = ['a.gpx', 'b.gpx']\nrange_m = 50\nstep_s = 20\n"
    )
    assert found.region.plan.nodes == 2
    assert found.region.plan.span_s >= 540
    assert found.region.tracks is not None


def test_the_hash_names_what_the_region_is_made_from(folder: Path) -> None:
    text = "about = 'x'\n[trace]\ncontacts = 'contacts.csv'\n[workload]\n"
    first = load(folder, text)
    same = load(folder, "# said otherwise\n" + text.replace("'x'", "'y'"), 2)
    assert first.hash == same.hash
    assert len(first.hash) == 64
    assert load(folder, f"{text}urgent_per_day = 1\n").hash != first.hash
    (folder / "contacts.csv").write_text(CONTACTS + "700,800,0,1\n")
    assert load(folder, text).hash != first.hash


def test_the_seed_decides(folder: Path) -> None:
    first, again, other = load(folder, SMALL), load(folder, SMALL), load(folder, SMALL, 2)
    np.testing.assert_array_equal(first.region.plan.start_s, again.region.plan.start_s)
    assert first.region.workload.names == again.region.workload.names
    assert first.region.plan.start_s.tolist() != other.region.plan.start_s.tolist()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD, "line 1: describes no region"),
        (f"{HEAD}[city]\n[boats]\n", r"line 4, boats: cannot stand beside \[city\]"),
        (f"{HEAD}days = 1\n[city]\n", "line 3, days: cannot stand beside duration_s"),
        ("about = 'x'\n[city]\n", "line 1, duration_s: is missing: give it, or days"),
        ("duration_s = 60\n[city]\n", "line 1, about: is missing"),
        (f"{HEAD}[city]\nsquads = 5\n", r"line 4, city\.squads: is unknown"),
        (f"{HEAD}[mountains]\nsquads = 0\n", r"line 4, mountains\.squads: is between 1 and 1000"),
        (f"{HEAD}[boats]\nports = 1\n", r"line 4, boats\.ports: is between 2 and 100"),
        (f"{HEAD}[disaster]\nteams = 1.5\n", r"line 4, disaster\.teams: is a whole number"),
        (f"{HEAD}[city]\nagents = 20_000\n", "line 3, city: comes to 20004 devices"),
        (
            "about='x'\ndays = 300\n[city]\nagents = 9000\n[radio]\nstep_s = 1\n",
            r"line 3, city: is too large .* radio\.step_s",
        ),
        (f"{SMALL}[radio]\nrange_m = 5\n", r"line 8, radio\.range_m: is a list of two"),
        (f"{SMALL}[radio]\nrate_bytes_s = -1\n", r"line 8, radio\.rate_bytes_s: is between 0"),
        (f"{SMALL}[routing]\npolicy = 'best'\n", r"line 8, routing\.policy: is one of direct, "),
        (f"{SMALL}[routing]\nhas_receipts = 1\n", r"line 8, .*has_receipts: is true or false"),
        (f"{SMALL}[store]\nbuffer_mb = 1\n", r"line 8, store\.buffer_mb: is unknown"),
        (f"{SMALL}[lora]\npreset = 'x'\n", r"line 8, lora\.preset: is one of"),
        (f"{SMALL}[energy]\nhost_w = 'x'\n", r"line 8, energy\.host_w: is a number"),
        (f"{SMALL}[weather]\nwind = 5\n", "line 7, weather: is unknown"),
        (
            f"{SMALL}[workload]\nto_gateway_share = 0.7\nfrom_gateway_share = 0.5\n",
            r"line 9, workload\.from_gateway_share: and to_gateway_share are at most 1",
        ),
        (f"{SMALL}[workload]\nmessages = 'x.csv'\n", r"line 8, workload\.messages: names no file"),
        (
            f"{SMALL}[workload]\nmessages = 'messages.csv'\nbulk_per_day = 1\n",
            r"line 9, workload\.bulk_per_day: is unknown",
        ),
        ("about = 'x'\n[trace]\n", r"line 2, trace\.contacts: is missing"),
        ("about = 'x'\n[trace]\ncontacts = 'no'\n", r"line 3, trace\.contacts: names no file"),
        ("about = 'x'\n[tracks]\n", r"line 2, tracks\.files: is missing"),
        ("about = 'x'\n[tracks]\nfiles = [\n'a']\n", r"line 3, tracks\.files: names no file"),
        (
            "about = 'x'\n[trace]\ncontacts = 'contacts.csv'\nmessages = 'messages.csv'\n"
            "[workload]\n",
            r"line 5, workload: cannot stand beside trace\.messages",
        ),
        (
            "about = 'x'\n[trace]\ncontacts = 'contacts.csv'\n[radio]\nrange_m = [1, 2]\n",
            r"line 5, radio\.range_m: is unknown",
        ),
    ],
)
def test_a_mistake_has_its_line_and_key(folder: Path, text: str, words: str) -> None:
    with pytest.raises(ScenarioError, match=rf"mine\.toml {words}"):
        load(folder, text)


def test_a_mistake_in_a_file_of_contacts_is_named_there(folder: Path) -> None:
    (folder / "contacts.csv").write_text(CONTACTS + "700,600,0,1\n")
    with pytest.raises(TraceError, match=r"contacts\.csv line 4: ends before"):
        load(folder, "about = 'x'\n[trace]\ncontacts = 'contacts.csv'\n")


def test_real_nodes_do_not_take_regions_nor_the_other_way_round() -> None:
    with pytest.raises(ScenarioError, match=r"two_nodes\.toml line 1: describes no region"):
        load_region("two_nodes", 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", included_scenarios("region"))
def test_every_included_region_can_be_made(name: str) -> None:
    found = load_region(name, 1)
    assert found.name == name
    assert kind_of(name) == "region"
    assert found.about == about_of(name)
    assert 60 <= found.region.plan.nodes <= 90
    assert found.region.duration_s >= 3 * 86_400
    assert len(found.region.workload) > 300
    assert set(found.region.workload.priority.tolist()) == {0, 1, 2}
    assert (found.timetable is not None) == (name == "channel_boats")


def test_those_that_are_promised_are_included() -> None:
    assert set(included_scenarios("region")) >= {
        "queyras_squads",
        "pyrenees",
        "vosges",
        "channel_boats",
        "all_cells_down",
    }
    assert set(included_scenarios("real")) >= {"two_nodes", "mountain_pass", "port_call"}


KEYS = st.sampled_from(
    ["agents", "streets", "team", "block_m", "pause_s", "walk_m_s", "dead_share", "cell_m", "x"]
)
VALUES = st.sampled_from(["0", "1", "2", "3.5", "-1", "nan", "inf", "true", "'t'", "[1, 2]", "1e9"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=3))
def test_any_figures_give_a_region_or_an_error_with_its_line(
    tmp_path: Path, figures: dict[str, str]
) -> None:
    lines = "".join(f"{key} = {value}\n" for key, value in figures.items())
    text = f"about = 'x'\nduration_s = 3600\n[radio]\nstep_s = 300\n[city]\n{lines}"
    place = "mine.toml line "
    try:
        load(tmp_path, text)
    except ScenarioError as error:
        place = error.place
    assert "mine.toml line " in place


@given(st.binary(max_size=100))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_a_region_or_a_named_error(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "any.toml"
    file.write_bytes(raw)
    with suppress(MeshError):
        load_region(str(file), 1)
