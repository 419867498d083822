"""A bar for work that takes long: on a terminal only, and on stderr, so that results stay alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

__all__ = ["Draw", "progress_bar"]

Draw: TypeAlias = Callable[[str, int], None]
"""Takes words and how many steps are done."""


@contextmanager
def progress_bar(words: str, steps: int | None = None) -> Iterator[Draw]:
    """Give what draws the bar; `steps` is None where nobody knows how many there are."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    # A pipe gets the result alone: a bar there would be one line of noise for each change.
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(words, total=steps)

        def draw(new_words: str, done: int) -> None:
            bar.update(task, description=new_words, completed=done)

        yield draw
