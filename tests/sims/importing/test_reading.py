"""The one way in for recorded files, and the way back out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sims.contacts import TraceError
from sims.importing import ImportOptions, Kind, detect_kind, import_region, write_region
from sims.region import Region

DEGREES_PER_M = 180 / (np.pi * 6_371_008.8)
CONTACTS = "t_start,t_end,a,b\n0,60,0,1\n30,90,1,2\n"
NODES = "id,role,group\n0,gateway,-1\n1,vehicle,0\n2,agent,0\n"
MESSAGES = "id,t,src,dst,size,ttl,prio\nm,10,2,0,100,600,0\n"
EVENTS = "0.5 CONN 0 1 up\n1 C M 0 1 100\n9 CONN 0 1 down\n"
RMC = "$GPRMC,100000,A,0000.000,N,00000.000,E,5.1,90.0,010524,,,A*4E\n"


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def gpx(path: Path, *north_m: float) -> Path:
    """Write a track that begins at 10:00 and has a fix each 10 s."""
    points = "".join(
        f'<trkpt lat="{place * DEGREES_PER_M:.9f}" lon="0">'
        f"<time>2024-05-01T10:{number // 6:02}:{number % 6}0Z</time></trkpt>"
        for number, place in enumerate(north_m)
    )
    return written(path, f"<gpx><trk><trkseg>{points}</trkseg></trk></gpx>")


def contacts_of(region: Region) -> list[tuple[float, ...]]:
    plan = region.plan
    columns = (plan.start_s, plan.end_s, plan.a, plan.b)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("x.csv", CONTACTS, Kind.CONTACTS),
        ("x.txt", "t_start, t_end, a, b\n", Kind.CONTACTS),
        ("x.csv", "", Kind.CONTACTS),
        ("x.txt", f"# a report\n\n{EVENTS}", Kind.THE_ONE),
        ("x", "<?xml version='1.0'?>", Kind.GPX),
        ("x", "\ufeff<gpx>", Kind.GPX),
        ("x.GPX", "anything", Kind.GPX),
        ("x.log", RMC, Kind.NMEA),
        ("x.log", f"10:00 {RMC}", Kind.NMEA),
        ("x.nmea", "garbled", Kind.NMEA),
    ],
)
def test_knows_what_a_file_holds(tmp_path: Path, name: str, text: str, kind: Kind) -> None:
    assert detect_kind(written(tmp_path / name, text)) is kind


def test_says_that_a_file_is_of_no_known_kind(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="contacts, the-one, gpx, nmea"):
        detect_kind(written(tmp_path / "x.txt", "hello"))
    with pytest.raises(TraceError, match="cannot be read"):
        detect_kind(tmp_path / "none.txt")


def test_imports_contacts_with_nodes_and_messages(tmp_path: Path) -> None:
    options = ImportOptions(
        nodes=written(tmp_path / "n.csv", NODES), messages=written(tmp_path / "m.csv", MESSAGES)
    )
    found = import_region(written(tmp_path / "valley.csv", CONTACTS), options)
    region = found.region
    assert (found.kind, found.skipped, found.begin_s) == (Kind.CONTACTS, 0, None)
    assert (region.name, region.duration_s) == ("valley", 90)
    assert region.roles == ("gateway", "relay", "agent")
    assert region.groups == ("", "0", "0")
    assert region.labels == ("gateway 0", "vehicle 1", "agent 2")
    assert region.workload.names == ("m",)
    assert region.gateways.tolist() == [0]


def test_imports_contacts_alone(tmp_path: Path) -> None:
    region = import_region(written(tmp_path / "valley.csv", CONTACTS)).region
    assert region.labels == ("node 0", "node 1", "node 2")
    assert len(region.workload) == 0


def test_imports_events(tmp_path: Path) -> None:
    path = written(tmp_path / "one.txt", EVENTS)
    options = ImportOptions(name="ferry", lifetime_s=7, priority=0)
    found = import_region(path, options)
    assert (found.kind, found.region.name) == (Kind.THE_ONE, "ferry")
    assert contacts_of(found.region) == [(0.5, 9, 0, 1)]
    assert found.region.workload.lifetime_s.tolist() == [7]
    listed = replace(options, messages=written(tmp_path / "m.csv", MESSAGES), nodes=None)
    with pytest.raises(TraceError, match="whole, from 0 to 1"):
        import_region(path, listed)
    listed = replace(listed, nodes=written(tmp_path / "n.csv", NODES))
    assert import_region(path, listed).region.workload.names == ("m",)


def test_imports_tracks_of_both_kinds(tmp_path: Path) -> None:
    walker = gpx(tmp_path / "walker.gpx", 500, 300, 100, 100, 300)
    stone = gpx(tmp_path / "stone.gpx", 50, 50, 50, 50)
    boat = written(tmp_path / "boat.nmea", RMC)
    options = ImportOptions(range_m=100, step_s=5)
    found = import_region([walker, stone, boat], options)
    region = found.region
    assert (found.kind, found.begin_s) == (Kind.GPX, 1714557600.0)
    assert (region.name, region.duration_s) == ("walker", 45)
    assert region.labels == ("walker", "stone", "boat")
    # 500, 400, 300, 200, 100, 100, 100 ... m north; the boat is known at one moment alone.
    assert contacts_of(region) == [(0, 5, 1, 2), (20, 35, 0, 1)]
    assert region.tracks is not None
    assert region.tracks.north_m.shape == (9, 3)
    assert np.isnan(region.tracks.north_m[1:, 2]).all()


def test_names_and_roles_of_tracks_come_from_a_list(tmp_path: Path) -> None:
    files = [gpx(tmp_path / f"{name}.gpx", 0, 0) for name in "abc"]
    listed = import_region(files, ImportOptions(nodes=written(tmp_path / "n.csv", NODES)))
    assert listed.region.roles == ("gateway", "relay", "agent")
    with pytest.raises(TraceError, match="there are 2 tracks, but 3 nodes"):
        import_region(files[:2], ImportOptions(nodes=tmp_path / "n.csv"))


def test_nodes_of_one_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    names = ("day.gpx", "day 2.gpx", "other/day.gpx")
    files = [gpx(tmp_path / name, 0, 0) for name in names]
    assert import_region(files).region.labels == ("day", "day 2", "day 3")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (ImportOptions(range_m=0.5), "range: is between"),
        (ImportOptions(range_m=2e6), "range: is between"),
        (ImportOptions(step_s=0.0), "step: is a number"),
        (ImportOptions(gap_s=float("nan")), "gap: is a number"),
    ],
)
def test_refuses_what_cannot_be_sampled(
    tmp_path: Path, options: ImportOptions, reason: str
) -> None:
    with pytest.raises(TraceError, match=reason):
        import_region(gpx(tmp_path / "a.gpx", 0, 0), options)


def test_refuses_files_that_do_not_go_together(tmp_path: Path) -> None:
    contacts = written(tmp_path / "a.csv", CONTACTS)
    track = gpx(tmp_path / "a.gpx", 0, 0)
    with pytest.raises(TraceError, match=r"a\.csv contacts, a\.gpx gpx"):
        import_region([contacts, track])
    with pytest.raises(TraceError, match="join them first"):
        import_region([contacts, contacts])
    with pytest.raises(TraceError, match="name a file"):
        import_region([])


def test_what_was_imported_comes_back_from_the_files_it_is_written_to(tmp_path: Path) -> None:
    written(tmp_path / "n.csv", NODES)
    written(tmp_path / "m.csv", MESSAGES)
    options = ImportOptions(
        name="Col d'Izoard/1", nodes=tmp_path / "n.csv", messages=tmp_path / "m.csv"
    )
    region = import_region(written(tmp_path / "valley.csv", CONTACTS), options).region
    contacts, nodes, messages = write_region(region, tmp_path / "new" / "folder")
    assert contacts.name == "Col_d_Izoard_1.csv"
    again = import_region(
        contacts, ImportOptions(name=region.name, nodes=nodes, messages=messages)
    ).region
    assert contacts_of(again) == contacts_of(region)
    assert again.workload.names == region.workload.names
    for name in ("name", "labels", "roles", "groups", "duration_s"):
        assert getattr(again, name) == getattr(region, name)


def test_does_not_replace_files_unasked(tmp_path: Path) -> None:
    region = import_region(written(tmp_path / "valley.csv", CONTACTS)).region
    with pytest.raises(TraceError, match="is there already"):
        write_region(region, tmp_path)
    paths = write_region(region, tmp_path, is_replacing=True)
    assert [path.name for path in paths] == ["valley.csv", "valley_nodes.csv"]
    with pytest.raises(TraceError, match="cannot be made"):
        write_region(region, tmp_path / "valley.csv" / "x")
