"""The structured trace: one JSON line per event, and nothing in it that nobody may read."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.errors import HomeError
from meshnode.trace import (
    line_of,
    log_line_of,
    log_to_stream,
    to_both,
    trace_to_file,
    trace_to_stream,
)
from tests.meshnode.rig import ZONE_SCOPE


def test_a_line_has_its_schema_time_and_fields() -> None:
    line = json.loads(line_of(5, "session_ended", {"peer": "ab", "count": 3, "is_up": True}))
    assert line == {
        "schema": 1,
        "at_ms": 5,
        "event": "session_ended",
        "peer": "ab",
        "count": 3,
        "is_up": True,
    }


def test_bytes_and_records_are_told_by_their_type_alone() -> None:
    line = line_of(5, "x", {"key": b"secret key", "scope": ZONE_SCOPE, "texts": ["hello"]})
    found = json.loads(line)
    assert (found["key"], found["scope"], found["texts"]) == ("<bytes>", "<Scope>", "<list>")
    assert "secret" not in line
    assert "hello" not in line


def test_a_long_reason_is_cut() -> None:
    assert len(json.loads(line_of(5, "x", {"reason": "y" * 10_000}))["reason"]) == 200


@given(
    st.dictionaries(
        st.text(max_size=9).filter(lambda name: name not in ("event", "at_ms", "schema")),
        st.one_of(st.text(), st.integers(), st.binary(), st.none()),
    )
)
def test_any_fields_make_one_line_of_json(fields: dict[str, object]) -> None:
    line = line_of(1, "x", fields)
    assert "\n" not in line
    assert set(json.loads(line)) == {"schema", "at_ms", "event", *fields}


def test_a_stream_gets_every_event_at_once() -> None:
    stream = io.StringIO()
    trace = trace_to_stream(stream, lambda: 7)
    trace("one", a=1)
    trace("two")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["one", "two"]
    assert {line["at_ms"] for line in lines} == {7}


def test_a_file_is_private_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    for event in ("one", "two"):
        with trace_to_file(path, lambda: 7) as trace:
            trace(event)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["one", "two"]
    with (
        pytest.raises(HomeError, match="cannot be written"),
        trace_to_file(tmp_path / "no" / "trace", lambda: 7),
    ):
        pass


def test_a_full_file_is_put_aside_and_both_are_private(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with trace_to_file(path, lambda: 7, bytes_max=1_000) as write:
        for number in range(100):
            write("event", number=number, share="100 %s")
    files = sorted(tmp_path.iterdir())
    assert [each.name for each in files] == ["trace.jsonl", "trace.jsonl.1"]
    assert all(each.stat().st_size <= 1_000 for each in files)
    assert all(each.stat().st_mode & 0o777 == 0o600 for each in files)
    lines = [json.loads(line) for each in reversed(files) for line in each.read_text().splitlines()]
    numbers = [line["number"] for line in lines]
    assert numbers == list(range(numbers[0], 100))
    assert {line["share"] for line in lines} == {"100 %s"}


def test_a_line_for_a_journal_has_its_time_with_its_offset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    line = json.loads(log_line_of(1_800_000_000_123, "x", {"key": b"secret", "count": 2}))
    monkeypatch.undo()
    time.tzset()
    assert line == {
        "schema": 1,
        "time": "2027-01-15T09:00:00.123+01:00",
        "event": "x",
        "key": "<bytes>",
        "count": 2,
    }


def test_two_traces_get_the_same_events() -> None:
    file, journal = io.StringIO(), io.StringIO()
    trace = to_both(trace_to_stream(file, lambda: 7), log_to_stream(journal, lambda: 7))
    trace("one", a=1)
    assert json.loads(file.getvalue())["at_ms"] == 7
    assert json.loads(journal.getvalue())["time"].startswith("19")
