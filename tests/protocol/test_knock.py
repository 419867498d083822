"""The keyed 32 bytes before TLS: good once, for one listener, for some weeks, and never else."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from protocol.errors import AuthenticationError, MalformedError
from protocol.guards import KNOCK_KEYS_MAX, KNOCK_OLD_EPOCHS_MAX, KNOCKS_KEPT_MAX, NETWORK_EPOCH_MS
from protocol.knock import (
    KNOCK_BYTES,
    TLS_FIRST_BYTE,
    KnockGuard,
    accepted_epochs,
    address_name,
    announcement_tag,
    is_tagged_untrusted,
    keys_to_dial,
    make_knock,
)
from protocol.limits import CLOCK_DRIFT_MS_MAX
from protocol.network_keys import epoch_at, epoch_of, key_id_of
from tests.reference import knocks as reference

WEEK = 3_000
NOW_MS = WEEK * NETWORK_EPOCH_MS + NETWORK_EPOCH_MS // 2
NAMES = (b"00112233445566aa", b"10.0.0.5:7625")
KEYS = {week: [bytes([week % 256]) * 32] for week in range(WEEK - 6, WEEK + 3)}
NONCES = st.binary(min_size=16, max_size=16)


def key_of(week: int) -> bytes:
    return KEYS[week][0]


def accepts(
    guard: KnockGuard,
    knock: bytes,
    *,
    now_ms: int = NOW_MS,
    names: tuple[bytes, ...] = NAMES,
    keys: dict[int, list[bytes]] = KEYS,
) -> bool:
    try:
        guard.check_untrusted(knock, names, keys, now_ms)
    except (AuthenticationError, MalformedError):
        return False
    return True


@given(NONCES, st.sampled_from(NAMES))
def test_a_knock_opens_once_and_is_what_the_page_says(nonce: bytes, name: bytes) -> None:
    knock = make_knock(key_of(WEEK), name, nonce)
    assert len(knock) == KNOCK_BYTES
    assert knock == reference.knock(key_of(WEEK), name, knock[:16])
    assert knock[0] != TLS_FIRST_BYTE
    assert knock[1:16] == nonce[1:]
    guard = KnockGuard()
    assert accepts(guard, knock)
    assert not accepts(guard, knock)
    assert len(guard) == 1


def test_a_nonce_that_looks_like_tls_is_changed_and_refused() -> None:
    nonce = bytes([TLS_FIRST_BYTE]) + bytes(15)
    assert make_knock(key_of(WEEK), NAMES[0], nonce)[0] != TLS_FIRST_BYTE
    assert not accepts(KnockGuard(), reference.knock(key_of(WEEK), NAMES[0], nonce))


@given(st.integers(0, KNOCK_BYTES * 8 - 1))
def test_every_turned_bit_is_refused(place: int) -> None:
    knock = bytearray(make_knock(key_of(WEEK), NAMES[0], b"\1" * 16))
    knock[place // 8] ^= 1 << place % 8
    assert not accepts(KnockGuard(), bytes(knock))


@pytest.mark.parametrize("size", [0, 1, KNOCK_BYTES - 1, KNOCK_BYTES + 1, 1_000])
def test_another_length_is_malformed(size: int) -> None:
    with pytest.raises(MalformedError):
        KnockGuard().check_untrusted(bytes(size), NAMES, KEYS, NOW_MS)


def test_a_knock_is_for_one_listener() -> None:
    knock = make_knock(key_of(WEEK), NAMES[0], b"\1" * 16)
    assert not accepts(KnockGuard(), knock, names=(b"00112233445566ab", NAMES[1]))
    assert not accepts(KnockGuard(), knock, names=())


def test_the_present_week_and_three_old_ones_open_and_the_next_within_drift() -> None:
    start_ms = WEEK * NETWORK_EPOCH_MS
    cases = {
        start_ms: range(WEEK - KNOCK_OLD_EPOCHS_MAX, WEEK + 1),
        start_ms - 1: range(WEEK - 1 - KNOCK_OLD_EPOCHS_MAX, WEEK + 1),
        start_ms - CLOCK_DRIFT_MS_MAX: range(WEEK - 1 - KNOCK_OLD_EPOCHS_MAX, WEEK + 1),
        start_ms - CLOCK_DRIFT_MS_MAX - 1: range(WEEK - 1 - KNOCK_OLD_EPOCHS_MAX, WEEK),
    }
    for now_ms, weeks in cases.items():
        assert accepted_epochs(now_ms) == weeks
        for week in KEYS:
            knock = make_knock(key_of(week), NAMES[0], b"\1" * 16)
            assert accepts(KnockGuard(), knock, now_ms=now_ms) is (week in weeks)


def test_only_so_many_keys_of_a_week_are_tried() -> None:
    many = {WEEK: [bytes([number]) * 32 for number in range(KNOCK_KEYS_MAX + 1)]}
    guard = KnockGuard()
    for number in range(KNOCK_KEYS_MAX + 1):
        knock = make_knock(bytes([number]) * 32, NAMES[0], bytes([number + 1]) * 16)
        assert accepts(guard, knock, keys=many) is (number < KNOCK_KEYS_MAX)


def test_whoever_dials_takes_the_present_key_then_older_ones_and_no_other() -> None:
    newest = range(WEEK, WEEK - KNOCK_OLD_EPOCHS_MAX - 1, -1)
    assert keys_to_dial(KEYS, NOW_MS) == [key_of(week) for week in newest]
    assert keys_to_dial({WEEK - KNOCK_OLD_EPOCHS_MAX - 1: [bytes(32)]}, NOW_MS) == []
    assert keys_to_dial({}, NOW_MS) == []


def test_keys_and_entropy_of_another_length_are_our_own_mistake() -> None:
    for key, entropy in ((bytes(31), bytes(16)), (bytes(32), bytes(15))):
        with pytest.raises(ValueError, match="32 and entropy of 16"):
            make_knock(key, NAMES[0], entropy)


def test_a_key_id_tells_its_week() -> None:
    key_id = key_id_of(WEEK, bytes(32))
    assert len(key_id) == 8
    assert epoch_of(key_id) == WEEK == epoch_at(NOW_MS)
    assert key_id != key_id_of(WEEK, b"\1" * 32)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("10.0.0.5", b"10.0.0.5:7"),
        ("::ffff:10.0.0.5", b"10.0.0.5:7"),
        ("fe80::1%wlan0", b"[fe80::1]:7"),
        ("2001:DB8:0::1", b"[2001:db8::1]:7"),
    ],
)
def test_both_ends_write_an_address_in_one_way(host: str, name: bytes) -> None:
    assert address_name(host, 7) == name


def test_a_name_of_a_machine_is_no_address() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        address_name("box.local", 7)


# --- memory ------------------------------------------------------------------------------------


def test_a_full_memory_drops_the_oldest_week_and_its_keys() -> None:
    guard = KnockGuard(kept_max=4)
    old = [make_knock(key_of(WEEK - 3), NAMES[0], bytes([number]) * 16) for number in (1, 2)]
    middle = make_knock(key_of(WEEK - 1), NAMES[0], b"\3" * 16)
    for knock in (*old, middle, make_knock(key_of(WEEK), NAMES[0], b"\4" * 16)):
        assert accepts(guard, knock)
    assert len(guard) == 4
    assert accepts(guard, make_knock(key_of(WEEK), NAMES[0], b"\5" * 16))
    assert len(guard) == 3
    # What was forgotten does not open again, nor does anything of its week or before.
    assert not accepts(guard, old[0])
    assert not accepts(guard, make_knock(key_of(WEEK - 3), NAMES[0], b"\6" * 16))
    assert not accepts(guard, middle)
    assert accepts(guard, make_knock(key_of(WEEK - 2), NAMES[0], b"\7" * 16))


def test_a_present_week_that_fills_the_memory_takes_no_more() -> None:
    guard = KnockGuard(kept_max=2)
    first, second, third = (
        make_knock(key_of(WEEK), NAMES[0], bytes([number]) * 16) for number in (1, 2, 3)
    )
    assert accepts(guard, first)
    assert accepts(guard, second)
    for knock in (third, first, make_knock(key_of(WEEK - 1), NAMES[0], b"\4" * 16)):
        assert not accepts(guard, knock)
    # A clock that shows the next week already does not push out the present one.
    turning_ms = (WEEK + 1) * NETWORK_EPOCH_MS - CLOCK_DRIFT_MS_MAX
    early = make_knock(key_of(WEEK + 1), NAMES[0], b"\5" * 16)
    assert not accepts(guard, early, now_ms=turning_ms)
    assert accepts(guard, early, now_ms=turning_ms + CLOCK_DRIFT_MS_MAX)


def test_what_was_taken_is_remembered_by_another_guard() -> None:
    first, knocks = KnockGuard(), []
    for back in (0, 2, 3):
        knocks.append(make_knock(key_of(WEEK - back), NAMES[0], bytes([back + 1]) * 16))
        assert accepts(first, knocks[-1])
    assert first.taken.forgotten_upto == -1
    assert [epoch for epoch, _nonce in first.taken.knocks] == [WEEK - 3, WEEK - 2, WEEK]
    second = KnockGuard()
    second.recall(first.taken)
    second.recall(first.taken)
    assert len(second) == 3
    assert not any(accepts(second, knock) for knock in knocks)
    small = KnockGuard(kept_max=1)
    small.recall(first.taken)
    assert (len(small), small.taken.forgotten_upto) == (1, WEEK - 2)
    assert not any(accepts(small, knock) for knock in knocks)
    third = KnockGuard()
    third.recall(small.taken)
    assert third.taken == small.taken
    third.recall(first.taken)
    assert third.taken == small.taken


def test_the_memory_is_worth_a_few_megabytes() -> None:
    assert 1_000 < KNOCKS_KEPT_MAX * 130 < 20_000_000


class Listening(RuleBasedStateMachine):
    """The guard and the reference hear the same knocks; the memory is never full."""

    def __init__(self) -> None:
        super().__init__()
        self.guard = KnockGuard()
        self.reference = reference.ReferenceListener(NAMES)
        self.now_ms = NOW_MS
        self.heard: list[bytes] = []

    def hear(self, knock: bytes) -> None:
        expected = self.reference.accepts(knock, KEYS, self.now_ms)
        assert accepts(self.guard, knock, now_ms=self.now_ms) is expected
        self.heard.append(knock)

    @rule(week=st.sampled_from(sorted(KEYS)), name=st.sampled_from([*NAMES, b"x"]), nonce=NONCES)
    def knock(self, week: int, name: bytes, nonce: bytes) -> None:
        self.hear(make_knock(key_of(week), name, nonce))

    @rule(raw=st.binary(min_size=KNOCK_BYTES, max_size=KNOCK_BYTES))
    def noise(self, raw: bytes) -> None:
        self.hear(raw)

    @rule(place=st.integers(0, 1_000))
    def replay(self, place: int) -> None:
        if self.heard:
            self.hear(self.heard[place % len(self.heard)])

    @rule(step_ms=st.sampled_from([1, NETWORK_EPOCH_MS // 3, NETWORK_EPOCH_MS, -NETWORK_EPOCH_MS]))
    def turn_the_clock(self, step_ms: int) -> None:
        self.now_ms += step_ms

    @invariant()
    def remembers_no_more_than_it_took(self) -> None:
        assert len(self.guard) <= len(self.heard)


TestListening = Listening.TestCase


@given(st.integers(1, 8), st.lists(st.tuples(st.integers(0, 3), st.integers(1, 12)), max_size=60))
def test_however_small_the_memory_no_knock_opens_twice(
    kept_max: int, heard: list[tuple[int, int]]
) -> None:
    guard, opened = KnockGuard(kept_max), set[tuple[int, int]]()
    for back, number in heard:
        knock = make_knock(key_of(WEEK - back), NAMES[0], bytes([number]) * 16)
        if accepts(guard, knock):
            assert (back, number) not in opened
            opened.add((back, number))
        assert len(guard) <= kept_max


# --- announcements -----------------------------------------------------------------------------


def test_a_tag_is_for_one_name_and_port_under_an_accepted_key() -> None:
    tag = announcement_tag(key_of(WEEK), NAMES[0], 7_625)
    message = b"meshnode mdns 1\0" + NAMES[0] + (7_625).to_bytes(2, "big")
    assert tag == reference.hmac_sha256(key_of(WEEK), message)[:8]
    assert is_tagged_untrusted(tag, NAMES[0], 7_625, KEYS, NOW_MS)
    assert not is_tagged_untrusted(tag, NAMES[1], 7_625, KEYS, NOW_MS)
    assert not is_tagged_untrusted(tag, NAMES[0], 7_626, KEYS, NOW_MS)
    assert not is_tagged_untrusted(tag, NAMES[0], 7_625, KEYS, NOW_MS + 4 * NETWORK_EPOCH_MS)
    assert not is_tagged_untrusted(tag, NAMES[0], 7_625, {}, NOW_MS)
    assert not is_tagged_untrusted(Random(1).randbytes(8), NAMES[0], 7_625, KEYS, NOW_MS)


@pytest.mark.parametrize(
    ("tag", "port"), [(b"", 1), (bytes(9), 1), (bytes(8), 0), (bytes(8), 65_536)]
)
def test_a_tag_of_another_form_is_malformed(tag: bytes, port: int) -> None:
    with pytest.raises(MalformedError):
        is_tagged_untrusted(tag, NAMES[0], port, KEYS, NOW_MS)
