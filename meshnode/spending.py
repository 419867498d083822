"""What own files cost on links that charge for bytes, by file and device, and where that ends.

A link that breaks again and again sends the same chunk again and again. Beyond its budget a file
is offered to that device over free links only. Kept in memory; who has the keys writes it down.
Source: wire-format 4.23, decision 28.
"""

from __future__ import annotations

from collections.abc import Mapping

from protocol.guards import RESEND_BUDGET_PCT
from protocol.ids import NodeId, ShortId

__all__ = ["Spending"]


class Spending:
    """Bytes put on costly links, against a budget of 150 % of a file for each device."""

    def __init__(self) -> None:
        self._files: dict[ShortId, int] = {}
        self._budgets: dict[int, int] = {}
        self._spent: dict[tuple[int, NodeId], int] = {}
        self._fresh: dict[tuple[int, NodeId], int] = {}

    def load(self, spent: Mapping[tuple[int, NodeId], int]) -> None:
        """Go on from what was written down before; what was not is added to it."""
        self._spent = {
            each: spent.get(each, 0) + self._fresh.get(each, 0) for each in {*spent, *self._fresh}
        }

    def watch(self, file: int, size_bytes: int, chunks: Mapping[ShortId, int]) -> None:
        """Count from now on what these chunks (id to size in bytes) of a file cost."""
        self._budgets[file] = size_bytes * RESEND_BUDGET_PCT // 100
        self._files.update(dict.fromkeys(chunks, file))

    def forget(self, file: int) -> None:
        """A file is no longer under way."""
        self._budgets.pop(file, None)
        self._files = {short: each for short, each in self._files.items() if each != file}
        self._spent = {each: spent for each, spent in self._spent.items() if each[0] != file}

    def allows(self, peer: NodeId, short_id: ShortId) -> bool:
        """True if a bundle may go to `peer` over a link that costs money."""
        file = self._files.get(short_id)
        return file is None or not self.is_over(file, peer)

    def is_over(self, file: int, peer: NodeId) -> bool:
        """True if a file has cost its budget towards `peer`."""
        budget_bytes = self._budgets.get(file)
        return budget_bytes is not None and self._spent.get((file, peer), 0) >= budget_bytes

    def over(self, file: int) -> set[NodeId]:
        """Return the devices that a file goes to over free links only."""
        return {peer for each, peer in self._spent if each == file and self.is_over(file, peer)}

    def note(self, peer: NodeId, sizes: Mapping[ShortId, int]) -> None:
        """These containers, bytes by id, are put on a link to `peer` that costs money."""
        for short_id, size_bytes in sizes.items():
            file = self._files.get(short_id)
            if file is not None:
                self._spent[file, peer] = self._spent.get((file, peer), 0) + size_bytes
                self._fresh[file, peer] = self._fresh.get((file, peer), 0) + size_bytes

    def take_fresh(self) -> dict[tuple[int, NodeId], int]:
        """Return what was spent since the last call, to be written down."""
        fresh, self._fresh = self._fresh, {}
        return fresh

    def put_back(self, fresh: Mapping[tuple[int, NodeId], int]) -> None:
        """Take back what could not be written down, for the next call."""
        for each, spent in fresh.items():
            self._fresh[each] = self._fresh.get(each, 0) + spent
