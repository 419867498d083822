"""A purge log that was changed anywhere, in any way, is told; a whole one is read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from meshnode.errors import ArchiveTamperedError
from meshnode.gateway.archive.purge_log import Action, Entry, Head, Signed, late_days, verify
from protocol.ids import NodeId
from tests.meshnode.gateway.parts import NOW_MS, Badge


def log_of(badge: Badge, count: int) -> list[Signed]:
    found, head = [], Head()
    scribe = badge.scribe()
    for number in range(count):
        made = scribe.entry(head, Action.PURGE, (("class", "positions"), ("keys", str(number))))
        found.append(made)
        head = Head(made.number, made.hash)
    return found


def test_a_whole_log_is_read_with_its_head() -> None:
    badge = Badge()
    log = log_of(badge, 3)
    entries, head = verify(log, badge.check)
    assert [each.number for each in entries] == [1, 2, 3]
    assert entries[0] == Entry(
        1, bytes(32), NOW_MS, badge.node, Action.PURGE, (("class", "positions"), ("keys", "0"))
    )
    assert head == Head(3, log[-1].hash)


def _by_two(first: Badge, second: Badge) -> list[Signed]:
    """Return a log whose entries 1 and 3 are by the first, 2 and 4 by the second."""
    found, head = [], Head()
    for badge in (first, second, first, second):
        made = badge.scribe().entry(head, Action.EXPORT, (("reason", "a court"),))
        found.append(made)
        head = Head(made.number, made.hash)
    return found


def test_what_a_gateway_that_is_gone_wrote_holds_by_what_stands_behind_it() -> None:
    gone, here = Badge(1), Badge(2)
    log = _by_two(gone, here)

    def is_named(gateway: NodeId) -> bool:
        return gateway == here.node

    assert len(verify(log, here.check, (), is_named)[0]) == 4
    known = Head(3, log[2].hash)
    assert len(verify(log[:3], here.check, [known], is_named)[0]) == 3
    with pytest.raises(ArchiveTamperedError, match=r"no\. 3 is by a gateway that no roster names"):
        verify(log[:3], here.check, [Head(2, log[1].hash)], is_named)
    with pytest.raises(ArchiveTamperedError, match=r"no\. 1 is by a gateway that no roster names"):
        verify(log[:1], here.check, (), is_named)
    with pytest.raises(ArchiveTamperedError, match=r"no\. 1 was changed"):
        verify([replace(log[0], hash=bytes(32)), *log[1:]], here.check, (), is_named)


def test_how_late_a_purge_was_is_told_by_the_log_alone() -> None:
    """A gateway that was off or locked keeps longer than its terms, and its log shows it."""

    def entry(number: int, day: int, action: Action, **details: str) -> Entry:
        return Entry(number, b"", day * 86_400_000 + 5, Badge().node, action, (*details.items(),))

    def purge(number: int, day: int, first: int) -> Entry:
        return entry(number, day, Action.PURGE, **{"class": "positions", "first_day": str(first)})

    log = [
        purge(1, 100, 10),
        entry(2, 100, Action.TERMS, positions="61"),
        purge(3, 100 + 62, 100),
        purge(4, 100 + 62 + 30, 100),
        # Shorter terms make nothing late that was in time before.
        entry(5, 300, Action.TERMS, positions="30"),
        purge(6, 300, 239),
        purge(7, 302, 240),
        entry(8, 302, Action.PURGE, **{"class": "texts", "first_day": "1"}),
    ]
    assert late_days(log) == {3: 0, 4: 30, 6: 0, 7: 2}


def test_an_empty_log_is_whole() -> None:
    assert verify([], Badge().check) == ([], Head())


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("field", ["body", "hash", "signature"])
def test_every_changed_bit_is_told(place: int, field: str) -> None:
    badge = Badge()
    log = log_of(badge, 3)
    value = getattr(log[place], field)
    for bit in range(8 * len(value)):
        changed = bytearray(value)
        changed[bit // 8] ^= 1 << bit % 8
        forged = [*log]
        change: dict[str, Any] = {field: bytes(changed)}
        forged[place] = replace(log[place], **change)
        with pytest.raises(ArchiveTamperedError):
            verify(forged, badge.check)


def test_what_is_left_out_put_between_or_turned_round_is_told() -> None:
    badge = Badge()
    log = log_of(badge, 4)
    for forged in (log[1:], [*log[:1], *log[2:]], [*log[:2], log[1], *log[2:]], log[::-1]):
        with pytest.raises(ArchiveTamperedError):
            verify(forged, badge.check)


def test_a_log_written_anew_by_the_same_badge_is_told_by_a_head() -> None:
    badge = Badge()
    log = log_of(badge, 3)
    known = Head(3, log[-1].hash)
    scribe = badge.scribe()
    first = scribe.entry(Head(), Action.PURGE, (("class", "texts"),))
    second = scribe.entry(Head(1, first.hash), Action.PURGE, ())
    third = scribe.entry(Head(2, second.hash), Action.PURGE, ())
    assert verify([first, second, third], badge.check)
    with pytest.raises(ArchiveTamperedError, match="another than"):
        verify([first, second, third], badge.check, [known])
    with pytest.raises(ArchiveTamperedError, match="cut off"):
        verify([first, second], badge.check, [known])


def test_an_entry_by_a_stranger_is_told() -> None:
    with pytest.raises(ArchiveTamperedError, match="not signed"):
        verify(log_of(Badge(), 1), Badge(91).check)
