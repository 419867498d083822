"""Tracks in GPX, hostile files among them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sims.importing.gpx
from sims.contacts import TraceError
from sims.importing.gpx import read_gpx

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
GPX = '<gpx version="1.1" creator="x" xmlns="http://www.topografix.com/GPX/1/1">\n'
TRACKS = (
    HEAD
    + GPX
    + """<trk><name>boat</name><trkseg>
<trkpt lat="44.5" lon="6.75"><ele>5</ele><time>2024-05-01T10:00:00Z</time></trkpt>
<trkpt lat="44.6" lon="6.76"><time>2024-05-01T12:00:10.5+02:00</time></trkpt>
<trkpt lat="44.7" lon="6.77"/>
</trkseg></trk>
<trk><name>phone</name><trkseg>
<trkpt lat="44.8" lon="6.78"><time>2024-05-01T10:00:05</time></trkpt>
<trkpt lat="95" lon="6.78"><time>2024-05-01T10:00:07Z</time></trkpt>
</trkseg></trk>
</gpx>
"""
)
BEGIN_S = 1714557600.0


def written(folder: Path, text: str) -> Path:
    (folder / "day.gpx").write_text(text, encoding="utf-8")
    return folder / "day.gpx"


def test_a_file_is_a_node(tmp_path: Path) -> None:
    (found,) = read_gpx(written(tmp_path, TRACKS))
    assert found.label == "day"
    assert (found.times_s - BEGIN_S).tolist() == [0, 5, 10.5]
    assert found.latitude_deg.tolist() == [44.5, 44.8, 44.6]
    assert found.longitude_deg.tolist() == [6.75, 6.78, 6.76]
    # The point without a time, and the one off the earth.
    assert found.skipped == 2


def test_a_track_can_be_a_node(tmp_path: Path) -> None:
    boat, phone = read_gpx(written(tmp_path, TRACKS), is_track_a_node=True)
    assert (boat.label, boat.latitude_deg.tolist(), boat.skipped) == ("boat", [44.5, 44.6], 1)
    assert (phone.label, phone.latitude_deg.tolist(), phone.skipped) == ("phone", [44.8], 1)


BOMB = (
    '<!DOCTYPE gpx [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]>\n"
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not GPX"),
        ("position 1 2", "line 1: is not GPX"),
        (HEAD + GPX + "<trk>\n</gpx>", "line 4: is not GPX"),
        (HEAD + BOMB + GPX + "<trk><name>&i;</name></trk></gpx>", "line 2: declares what"),
        (HEAD + '\n<!DOCTYPE x SYSTEM "file:///etc/hostname">' + GPX, "line 3: declares what"),
        (HEAD + GPX + " xmlns" * 100, "line 3: declares what"),
        (HEAD + GPX + "</gpx>", "no track point with a time"),
        (TRACKS.replace('lat="44.5"', ""), "is not GPX"),
        (TRACKS.replace('lat="44.5"', 'lat="north"'), "is not GPX"),
        (TRACKS.replace("<ele>5", "<ele>high"), "is not GPX"),
    ],
)
def test_says_what_is_wrong_and_where(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(TraceError, match=reason) as caught:
        read_gpx(written(tmp_path, text))
    assert str(tmp_path / "day.gpx") in caught.value.place


def test_refuses_what_is_no_text_too_large_or_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wide.gpx").write_bytes(TRACKS.encode("utf-16"))
    with pytest.raises(TraceError, match="UTF-8"):
        read_gpx(tmp_path / "wide.gpx")
    with pytest.raises(TraceError, match="cannot be read"):
        read_gpx(tmp_path / "none.gpx")
    path = written(tmp_path, TRACKS)
    monkeypatch.setattr(sims.importing.gpx, "_FILE_BYTES_MAX", path.stat().st_size)
    read_gpx(path)
    monkeypatch.setattr(sims.importing.gpx, "_FILE_BYTES_MAX", path.stat().st_size - 1)
    with pytest.raises(TraceError, match="split it"):
        read_gpx(path)


def test_deep_nesting_is_refused_or_read(tmp_path: Path) -> None:
    deep = "<extensions>" + "<a>" * 50_000 + "</a>" * 50_000 + "</extensions>"
    with suppress(TraceError):
        read_gpx(written(tmp_path, TRACKS.replace("<ele>5</ele>", deep)))


@pytest.mark.slow
@given(st.integers(0, len(TRACKS)), st.integers(0, 30), st.text(max_size=20))
def test_any_damage_gives_fixes_or_the_named_error(
    tmp_path_factory: pytest.TempPathFactory, place: int, cut: int, other: str
) -> None:
    text = TRACKS[:place] + other + TRACKS[place + cut :]
    path = tmp_path_factory.mktemp("gpx") / "x.gpx"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with suppress(TraceError):
        read_gpx(path)
