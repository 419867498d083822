"""How commands of simulations show figures: numbers that JSON knows, and words for delays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from sims.errors import CommandError

__all__ = ["percent", "plain", "seconds", "write_text"]


def plain(value: object) -> object:
    """Return `value` as JSON can hold it: null where a number is none, texts for paths."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    assert isinstance(value, Sequence), f"{type(value).__name__} has no form in JSON"
    return [plain(each) for each in value]


def percent(share: float | None) -> str:
    """Return a share between 0 and 1 in percent; a dash where there is none."""
    return "-" if share is None or not math.isfinite(share) else f"{100 * share:.1f} %"


def seconds(delay_s: float | None) -> str:
    """Return a delay in words; a dash where there is none."""
    from meshnode.cli.show import duration

    return "-" if delay_s is None or not math.isfinite(delay_s) else duration(delay_s)


def write_text(path: Path, text: str, what: str) -> None:
    """Write a file that somebody asked for. Raises: CommandError that names it."""
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise CommandError(f"{path}: the {what} cannot be written: {error.strerror}") from error
