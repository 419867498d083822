"""What a plotter is told, read by the real gpsd: a program that never heard of ours."""

from __future__ import annotations

import json
import socket
from typing import Any, Final

import pytest

from meshnode.services.ais import Target, help_sentence, lost_sentence, sentences
from tests.real.daemons import gpsd

pytestmark = [pytest.mark.real, pytest.mark.slow]

MMSI: Final = 982_270_042
WAIT_S: Final = 20.0
"""Far above what is seen: the machine may be busy."""


def read(told: list[bytes], messages: int) -> list[dict[str, Any]]:
    """Return what gpsd makes of datagrams: so many messages, both parts of a name as one."""
    with (
        gpsd() as (port, feed, _),
        socket.create_connection(("127.0.0.1", port), WAIT_S) as reader,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as box,
        reader.makefile("r") as lines,
    ):
        reader.sendall(b'?WATCH={"enable":true,"json":true,"scaled":true};\n')
        found: list[dict[str, Any]] = []
        for line in lines:
            record = json.loads(line)
            if record["class"] == "WATCH":
                for each in told:
                    box.sendto(each, ("127.0.0.1", feed))
            elif record["class"] == "AIS":
                found.append(record)
            if len(found) == messages:
                return found
    raise AssertionError("gpsd ended")


def test_gpsd_reads_where_a_mate_is_its_name_and_its_sos() -> None:
    mate = Target(MMSI, "Vedette Étoile", 486_500_000, -20_300_000, True, 200, 12)
    told = [b"".join(sentences(mate)), lost_sentence(MMSI), help_sentence(MMSI, "Anna")]
    place, name, gone, sos = read(told, 4)
    assert {each["mmsi"] for each in (place, name, gone, sos)} == {MMSI}
    assert [each["type"] for each in (place, name, gone, sos)] == [18, 24, 18, 14]
    assert place["lat"] == pytest.approx(48.65, abs=1e-4)
    assert place["lon"] == pytest.approx(-2.03, abs=1e-4)
    assert (place["accuracy"], place["second"], place["heading"]) == (True, 60, 511)
    assert name["shipname"] == "VEDETTE ETOILE 3MIN"
    assert (gone["lat"], gone["lon"]) == (91.0, 181.0)
    assert sos["text"] == "SOS ANNA"
