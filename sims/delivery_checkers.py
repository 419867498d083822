"""What must hold of the delivery ledger at the end of a world: shown once or never, and the truth.

What an author believes is in its store, what a device showed is in its own, and each showing is in
the trace. The three must agree. Source: decision 27.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from meshnode.store.records import RecipientState
from sims.record import WorldRecord

__all__ = ["DELIVERY_CHECKERS", "matrix_true", "shown_once"]

_Found = Iterator[tuple[str, str]]
"""Device and sentence of each breach."""


def shown_once(world: WorldRecord) -> _Found:
    """Nobody is shown a message twice, and nothing is shown that was withdrawn there."""
    shown = Counter(
        (line.node, str(dict(line.fields)["message"]))
        for line in world.lines
        if line.event == "shown"
    )
    for (name, message), times in shown.items():
        if times > 1:
            yield name, f"showed {message} {times} times"
    for device in world.devices:
        if device.name in world.plan.hostile_names:
            continue
        for each in device.incoming:
            if each.id in device.withdrawn and not each.is_read:
                yield device.name, f"still offers {each.id}, which was taken back"


def matrix_true(world: WorldRecord) -> _Found:
    """Of every recipient an author believes what is so: read what was shown, and nothing else."""
    liars = world.plan.hostile_names
    shown = {
        (device.name, each.id)
        for device in world.devices
        for each in device.incoming
        if each.is_read
    }
    for author in world.devices:
        if author.name in liars:
            continue
        for story in author.outgoing:
            first = author.copies.get(story.message.id, story.message.id)
            for each in story.recipients:
                name = world.name_of(each.node)
                was_shown = (name, first) in shown
                if name in liars:
                    continue
                if each.state is RecipientState.READ and not was_shown:
                    yield author.name, f"believes that {name} read {first}, and nobody did"
                is_copy = first != story.message.id
                # A copy may be withdrawn by a device that had shown the first one.
                if each.state is RecipientState.WITHDRAWN and was_shown and not is_copy:
                    yield author.name, f"believes that {name} never saw {first}"


DELIVERY_CHECKERS: Final[dict[str, Callable[[WorldRecord], _Found]]] = {
    checker.__name__: checker for checker in (shown_once, matrix_true)
}
"""Every promise of the delivery ledger by its name."""
