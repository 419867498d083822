"""Logs of NMEA 0183, damaged lines among them."""

from __future__ import annotations

from contextlib import suppress
from functools import reduce
from operator import xor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.contacts import TraceError
from sims.importing.nmea import read_nmea
from sims.importing.tracks import Fixes

BEGIN_S = 1714557600.0
RMC = "GPRMC,100000.00,A,4430.000,N,00645.000,E,5.1,90.0,010524,,,A"


def sentence(body: str) -> str:
    return f"${body}*{reduce(xor, body.encode(), 0):02X}"


def read(folder: Path, *lines: str) -> Fixes:
    (folder / "boat.nmea").write_text("\r\n".join(lines), encoding="latin-1")
    return read_nmea(folder / "boat.nmea")


def test_reads_positions_with_the_date_of_the_last_rmc(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        sentence(RMC),
        sentence("GPGGA,100000,4430.100,N,00645.000,E,1,08,1.0,5,M,,M,,"),
        sentence("GNGGA,100010.5,4430.600,S,00645.600,W,2,08,1.0,5,M,,M,,"),
    )
    assert found.label == "boat"
    # The GGA of the same second says nothing more.
    assert (found.times_s - BEGIN_S).tolist() == [0, 10.5]
    assert found.latitude_deg.tolist() == pytest.approx([44.5, -44.51])
    assert found.longitude_deg.tolist() == pytest.approx([6.75, -6.76])
    assert found.skipped == 0


def test_knows_the_day_around_midnight(tmp_path: Path) -> None:
    late = "GPRMC,235959,A,4430.0,N,00645.0,E,5.1,90.0,010524,,,A"
    early = "GPRMC,000005,A,4430.0,N,00645.0,E,5.1,90.0,020524,,,A"
    gga = "GPGGA,{},4430.1,N,00645.0,E,1,08,1.0,5,M,,M,,"
    found = read(
        tmp_path,
        sentence(late),
        sentence(gga.format("000001")),
        sentence(early),
        sentence(gga.format("235958")),
    )
    midnight_s = BEGIN_S + 14 * 3600
    assert (found.times_s - midnight_s).tolist() == [-2, -1, 1, 5]


def test_passes_over_other_sentences_and_what_has_no_fix(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "!AIVDM,1,1,,A,14eG;o@034o8sd<L9i:a;WF>062D,0*7D",
        sentence("GPGSV,1,1,00"),
        sentence("GPRMC,095900,V,,,,,,,010524,,,N"),
        sentence("GPGGA,095901,,,,,0,00,,,M,,M,,"),
        "",
        "2024-05-01 10:00:00.1 " + sentence(RMC),
        "\\s:gps,c:1714557600*00\\" + sentence(RMC.replace("100000", "100001")),
    )
    assert (found.times_s - BEGIN_S).tolist() == [0, 1]
    assert found.skipped == 0


@pytest.mark.parametrize(
    "line",
    [
        sentence(RMC)[:-1] + "0",
        sentence(RMC).split("*")[0],
        sentence(RMC)[:40],
        sentence(RMC.replace("4430.000", "4430")),
        sentence(RMC.replace("4430.000", "9930.000")),
        sentence(RMC.replace(",N,", ",X,")),
        sentence(RMC.replace("4430.000,N,00645.000,E", ",N,,E")),
        sentence(RMC.replace("010524", "990524")),
        sentence(RMC.replace("100000.00", "106000.00")),
        sentence(RMC.replace("100000.00", "")),
        "something else",
        "$GPRMC,\x00\xff*00",
        "$GPRMC",
    ],
)
def test_skips_and_counts_a_damaged_line(tmp_path: Path, line: str) -> None:
    good = sentence(RMC.replace("100000", "120000"))
    found = read(tmp_path, line, good)
    assert (found.times_s - BEGIN_S).tolist() == [7200]
    assert found.skipped == 1
    with pytest.raises(TraceError, match=r"no position .* \(1 lines skipped\)"):
        read(tmp_path, line)


def test_counts_positions_before_the_first_date(tmp_path: Path) -> None:
    gga = sentence("GPGGA,100000,4430.1,N,00645.0,E,1,08,1.0,5,M,,M,,")
    assert read(tmp_path, gga, sentence(RMC)).skipped == 1


@given(st.binary(max_size=300), st.integers(0, 70))
def test_any_bytes_give_fixes_or_the_named_error(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, place: int
) -> None:
    path = tmp_path_factory.mktemp("nmea") / "x.nmea"
    line = sentence(RMC).encode()
    path.write_bytes(line[:place] + raw + line[place:] + b"\n" + line)
    with suppress(TraceError):
        read_nmea(path)


@pytest.mark.slow
@given(st.lists(st.sampled_from([*RMC, "9", "-", "\u0663"]), max_size=70).map("".join))
def test_any_words_with_the_right_checksum_give_fixes_or_the_named_error(
    tmp_path_factory: pytest.TempPathFactory, body: str
) -> None:
    path = tmp_path_factory.mktemp("nmea") / "x.nmea"
    for text in (body, f"GPRMC,{body}", RMC.replace("4430.000", body), RMC + body):
        path.write_text(sentence(text), encoding="utf-8")
        with suppress(TraceError):
            read_nmea(path)
