"""Wrong secrets are counted and delayed."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshnode.errors import SecretDelayedError
from meshnode.vault.tries import Tries, delay_ms
from protocol.guards import SECRET_DELAY_MS, SECRET_DELAY_MS_MAX, SECRET_TRIES_FREE
from tests.meshnode.vault.parts import NOW_MS


def test_the_delay_doubles_up_to_its_bound() -> None:
    delays = [delay_ms(count) for count in range(100)]
    assert delays[:SECRET_TRIES_FREE] == [0] * SECRET_TRIES_FREE
    assert delays[SECRET_TRIES_FREE : SECRET_TRIES_FREE + 2] == [
        SECRET_DELAY_MS,
        2 * SECRET_DELAY_MS,
    ]
    assert delays == sorted(delays)
    assert delays[-1] == SECRET_DELAY_MS_MAX


def test_a_try_counts_before_it_is_made_and_in_the_next_process(tmp_path: Path) -> None:
    for count in range(SECRET_TRIES_FREE):
        assert Tries(tmp_path / "tries").failed == count
        Tries(tmp_path / "tries").begin(NOW_MS)
    with pytest.raises(SecretDelayedError, match="1 s") as caught:
        Tries(tmp_path / "tries").begin(NOW_MS)
    assert caught.value.wait_ms == SECRET_DELAY_MS
    Tries(tmp_path / "tries").begin(NOW_MS + SECRET_DELAY_MS)
    assert Tries(tmp_path / "tries").wait_ms(NOW_MS + SECRET_DELAY_MS) == 2 * SECRET_DELAY_MS


def test_success_forgets(tmp_path: Path) -> None:
    tries = Tries(tmp_path / "tries")
    for _ in range(2):
        tries.begin(NOW_MS)
        tries.succeeded()
        tries.succeeded()
        assert tries.failed == 0


def test_a_clock_that_was_set_back_neither_helps_nor_locks_out(tmp_path: Path) -> None:
    tries = Tries(tmp_path / "tries")
    for _ in range(SECRET_TRIES_FREE):
        tries.begin(NOW_MS)
    early_ms = NOW_MS - 10**9
    with pytest.raises(SecretDelayedError) as caught:
        tries.begin(early_ms)
    assert caught.value.wait_ms == SECRET_DELAY_MS
    tries.begin(early_ms + SECRET_DELAY_MS)


def test_a_damaged_count_is_none(tmp_path: Path) -> None:
    (tmp_path / "tries").write_bytes(b"damaged")
    assert Tries(tmp_path / "tries").failed == 0
