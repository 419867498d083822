"""The boat at port: what its node says of the way ashore, as rows; unknown stays unknown."""

from __future__ import annotations

from typing import Any

from meshnode.demo.port import catch_notes, look_rows
from meshnode.demo.story import BACKLOG, notes


def port(done: int, left: int, **more: Any) -> dict[str, Any]:
    """Return a gateway as `Api.unloading` gives it."""
    known = {"is_counted": True, "left_bytes": 32_768 * left, "bytes_s": None}
    return {**known, "done": done, "left": left, "seconds_left": None, **more}


def test_the_first_look_the_last_and_three_between_are_shown() -> None:
    looks = [(number / 10, port(number, 20 - number)) for number in range(21)]
    rows = look_rows(looks)
    assert [row[0] for row in rows] == ["0.0 s", "0.5 s", "1.0 s", "1.5 s", "2.0 s"]
    assert rows[2][1:4] == ("[######......] 50 %", "10", "10")
    assert rows[-1][1:5] == ("[############] 100 %", "20", "0", "0.00 MB")
    assert look_rows(looks[:1]) == rows[:1]
    assert look_rows([]) == []


def test_what_is_not_known_is_not_shown_as_a_figure() -> None:
    (row,) = look_rows([(0.2, port(0, 0, is_counted=False))])
    assert row == ("0.2 s", "", "0", "not counted yet", "", "", "")
    (row,) = look_rows([(0.2, port(1, 3))])
    assert row[5:] == ("", "nobody knows")
    (row,) = look_rows([(0.2, port(1, 3, bytes_s=2_500_000.0, seconds_left=1.25))])
    assert row[5:] == ("2.5 MB/s", "1.2 s")


def test_the_notes_of_both_journeys_differ() -> None:
    both = catch_notes() + notes(BACKLOG)
    assert len(set(both)) == len(both)
