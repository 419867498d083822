"""A setting as a field of a record: default, sentence and bounds. Source: STYLE 42."""

from __future__ import annotations

from dataclasses import field
from typing import Any

__all__ = ["setting"]


def setting(
    default: Any,
    sentence: str,
    *,
    minimum: int | None = None,
    maximum: int | None = None,
    choices: tuple[str, ...] = (),
    is_telling: bool = False,
) -> Any:
    """Return a field; one that `is_telling` stands in no repr."""
    bounds = {"minimum": minimum, "maximum": maximum, "choices": choices}
    return field(default=default, repr=not is_telling, metadata={"sentence": sentence, **bounds})
