"""What the ledger of the demonstration makes of stores: nothing lost may hide in it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from meshnode.demo.ledger import (
    Haul,
    Landing,
    Met,
    Sheet,
    duplicates,
    haul,
    landing,
    ledger,
    lost,
)
from tests.meshnode.demo.sheets import sheet, shown, written

NAMES = ("a", "b", "c", "centre")


def test_a_message_that_everybody_has_is_not_lost() -> None:
    sheets = [
        sheet("a", written("1", "squad:Q", "b", "c")),
        sheet("b", shown("1", "a")),
        sheet("c", shown("1", "a")),
    ]
    (account,) = ledger(sheets)
    assert account.arrived == ("b", "c")
    assert account.missing == ()
    assert lost([account]) == []
    assert duplicates(sheets) == 0


def test_one_reader_of_the_centre_is_enough_and_one_of_a_squad_is_not() -> None:
    inboxes = [sheet("b", shown("1", "a")), sheet("c")]
    to_centre = ledger([sheet("a", written("1", "codt", "b", "c")), *inboxes])
    to_squad = ledger([sheet("a", written("1", "squad:Q", "b", "c")), *inboxes])
    assert lost(to_centre) == []
    assert [each.missing for each in lost(to_squad)] == [("c",)]


def test_a_message_of_other_words_or_without_receipt_is_lost() -> None:
    changed = replace(shown("1", "a"), text="something else")
    assert len(lost(ledger([sheet("a", written("1", "b", "b")), sheet("b", changed)]))) == 1
    unknown = written("1", "b", "b", state="carried")
    assert len(lost(ledger([sheet("a", unknown), sheet("b", shown("1", "a"))]))) == 1
    assert len(lost(ledger([sheet("a", written("1", "codt", "centre")), sheet("centre")]))) == 1


def test_twice_shown_is_seen_by_id_and_by_words() -> None:
    assert duplicates([sheet("b", shown("1", "a"), shown("1", "a"))]) == 1
    again = replace(shown("2", "a"), text="text of 1")
    assert duplicates([sheet("a", written("1", "b", "b")), sheet("b", shown("1", "a"), again)]) == 1


def test_words_that_were_written_twice_may_be_shown_twice() -> None:
    twice = replace(written("2", "b", "b"), text="text of 1")
    again = replace(shown("2", "a"), text="text of 1")
    sheets = [sheet("a", written("1", "b", "b"), twice), sheet("b", shown("1", "a"), again)]
    assert duplicates(sheets) == 0
    assert lost(ledger(sheets)) == []


@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES), min_size=1)), max_size=8
    ),
    st.data(),
)
def test_whatever_is_taken_out_of_an_inbox_is_missed(
    letters: list[tuple[str, set[str]]], data: st.DataObject
) -> None:
    sheets: list[Sheet] = []
    for name in NAMES:
        own = [
            written(str(n), f"squad:{n}", *(readers - {author}))
            for n, (author, readers) in enumerate(letters)
            if author == name
        ]
        inbox = [
            shown(str(n), author)
            for n, (author, readers) in enumerate(letters)
            if name in readers - {author}
        ]
        sheets.append(sheet(name, *own, *inbox))
    assert lost(ledger(sheets)) == []
    assert duplicates(sheets) == 0
    victims = [place for place, each in enumerate(sheets) if each.shown]
    if victims:
        place = data.draw(st.sampled_from(victims))
        sheets[place] = replace(sheets[place], shown=sheets[place].shown[1:])
        assert [each.missing for each in lost(ledger(sheets))] == [(sheets[place].name,)]


def test_the_haul_counts_from_the_contact_to_the_last_note() -> None:
    centre = sheet(
        "centre",
        shown("1", "y", "note", 1_500),
        shown("2", "y", "sos", 1_600),
        shown("3", "y", "note", 3_500),
        shown("4", "y", "text", 9_000),
    )
    boat = replace(sheet("vedette"), met=(Met("yann", 1, 2), Met("centre", 1_000, 777)))
    texts = ["text of 1", "text of 3"]
    assert haul(boat, centre, texts) == Haul(2, 777, 2.5, 1)
    assert haul(boat, centre, texts[:1], 700) == Haul(1, 700, 0.5, 0)
    assert haul(sheet("vedette"), centre, texts) is None
    assert haul(boat, sheet("centre", shown("2", "y", "sos")), texts) is None


def test_a_later_call_counts_what_was_sent_since_and_its_own_notes() -> None:
    centre = sheet(
        "centre",
        shown("1", "y", "note", 1_500),
        shown("2", "y", "note", 61_000),
        shown("3", "y", "note", 62_250),
    )
    boat = replace(sheet("vedette"), met=(Met("yann", 1, 2), Met("centre", 1_000, 777)))
    found = landing(boat, centre, ["text of 2", "text of 3", "text of 4"], 700)
    assert found == Landing(2, 77, 1.25)
    assert found.as_json() == {"notes": 2, "bytes": 77, "seconds": 1.25}
    assert landing(boat, centre, ["text of 4"], 700) is None
