"""Records as text: what survives pasting, and what is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.armour import TextForm, armour, unarmour_untrusted
from protocol.errors import LimitExceededError, MalformedError
from protocol.limits import INVITATION_BYTES_MAX

FORM = TextForm.INVITATION


@given(st.binary(max_size=200), st.sampled_from(TextForm))
def test_a_record_is_read_as_it_was_written(record: bytes, form: TextForm) -> None:
    text = armour(form, record)
    assert text.startswith(f"{form.word}:")
    assert unarmour_untrusted(form, text) == record


@given(st.binary(min_size=1, max_size=100), st.lists(st.integers(0, 200), max_size=5))
def test_line_breaks_and_spaces_do_not_matter(record: bytes, places: list[int]) -> None:
    text = armour(FORM, record)
    for place in places:
        text = text[:place] + "\r\n " + text[place:]
    assert unarmour_untrusted(FORM, text) == record


@given(st.binary(min_size=1, max_size=60), st.integers(min_value=0), st.characters(codec="ascii"))
def test_a_changed_character_is_noticed(record: bytes, place: int, letter: str) -> None:
    text = armour(FORM, record)
    place %= len(text)
    changed = text[:place] + letter + text[place + 1 :]
    try:
        assert unarmour_untrusted(FORM, changed) == record
    except MalformedError:
        return
    tail = text.index("~")
    assert changed == text or (place > tail and letter.lower() == text[place])


def test_every_cut_is_noticed() -> None:
    text = armour(FORM, b"some record that is long enough")
    for length in range(len(text)):
        with pytest.raises(MalformedError):
            unarmour_untrusted(FORM, text[:length])


def test_another_kind_of_text_is_noticed() -> None:
    with pytest.raises(MalformedError, match="MESHI1"):
        unarmour_untrusted(FORM, armour(TextForm.ANSWER, b"x"))


@given(st.text(st.characters(max_codepoint=0x7FF), max_size=100))
def test_any_text_is_refused_by_name(text: str) -> None:
    for candidate in (text, f"MESHI1:{text}", f"MESHI1:{text}~aaaaaa"):
        with pytest.raises(MalformedError):
            unarmour_untrusted(FORM, candidate)


def test_length_at_the_limit_and_above() -> None:
    assert len(unarmour_untrusted(FORM, armour(FORM, bytes(INVITATION_BYTES_MAX))))
    for text in (armour(FORM, bytes(INVITATION_BYTES_MAX + 100)), " " * 1_000_000):
        with pytest.raises(LimitExceededError):
            unarmour_untrusted(FORM, text)
