"""Where compiled code is kept, and what happens where it cannot be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numba
import pytest

from sims.compiled import cache_folder, compiled, source_key

# Compiling takes its time.
pytestmark = pytest.mark.slow


def twice(number: int) -> int:
    return 2 * number


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    cache_folder.cache_clear()
    yield
    cache_folder.cache_clear()


def test_keeps_what_it_compiled_below_the_cache_folder_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    assert compiled(twice)(21) == 42
    kept = tmp_path / "meshnode-sim" / source_key()
    assert cache_folder() == kept
    assert list(kept.rglob("*.nbi"))
    assert before == numba.config.CACHE_DIR  # type: ignore[attr-defined]


def test_runs_without_a_cache_where_none_can_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A file where the folder should be: this stops the superuser too.
    (tmp_path / "meshnode-sim").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() is None
    assert compiled(twice)(4) == 8


def test_removes_the_versions_that_were_not_used_for_longest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for number in range(6):
        old = tmp_path / "meshnode-sim" / f"version{number}"
        old.mkdir(parents=True)
        os.utime(old, (1_000_000 + number, 1_000_000 + number))
    cache_folder()
    left = {path.name for path in (tmp_path / "meshnode-sim").iterdir()}
    assert left == {source_key(), "version5", "version4", "version3"}


def test_a_relative_cache_folder_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "meshnode-sim" / source_key()


def test_the_key_follows_from_the_sources() -> None:
    assert source_key() == source_key()
    assert len(source_key()) == 16


def test_leaves_the_function_alone_without_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert compiled(twice) is twice
