"""The cached first coded symbols of a set, kept by add and remove; a contact only reads them.

Source: wire-format 5, DESIGN D2, decision 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, sqrt

from protocol.ids import ShortId
from protocol.limits import SKETCH_SYMBOLS
from protocol.reconcile.symbols import encode_columns, mix

__all__ = ["Sketch", "SketchSnapshot", "encode_symbols"]

_MASK = 0xFFFF_FFFF_FFFF_FFFF
_STEP_FACTOR = 0xDA94_2042_E4DD_58B5
_TWO_32 = float(1 << 32)
_WAITING_MAX = 4_096
"""Changes that may wait for a look at the symbols: 16 ms of a contact's beginning at most."""


@dataclass(frozen=True, slots=True)
class SketchSnapshot:
    """A sketch at one instant; nothing changes it."""

    n: int
    """Ids in the set."""
    set_hash: int
    """64 bits, wire-format 5.6."""
    cells: tuple[int, ...]
    """Per symbol: XOR of ids, 64 bits, above XOR of checks, 32 bits."""
    counts: tuple[int, ...]
    """Ids per symbol."""

    @property
    def symbols(self) -> int:
        """How many symbols are kept."""
        return len(self.cells)


class Sketch:
    """Coded symbols of a set of unsigned 64-bit ids. Memory: about 60 bytes per symbol.

    Number and hash of the set change at once, the symbols when somebody looks or many changes
    wait: most ids that come and go between two contacts, as positions do, never touch a symbol.
    Sum and check of a symbol share one number: changing both at once takes a third less time.
    """

    def __init__(self, symbols: int = SKETCH_SYMBOLS) -> None:
        self._size = symbols
        self._cells = [0] * symbols
        self._counts = [0] * symbols
        self._set_hash = 0
        self._n = 0
        self._waiting: dict[ShortId, int] = {}

    @classmethod
    def build(cls, ids: Iterable[ShortId], symbols: int = SKETCH_SYMBOLS) -> Sketch:
        """Return the sketch of `ids`, each of which stands there once. Cost: 4 µs per id."""
        sketch = cls(symbols)
        sketch.add_many(ids)
        sketch.settle()
        return sketch

    def copy(self) -> Sketch:
        """Return a sketch of the same set that changes on its own. Cost: as `snapshot`."""
        self.settle()
        twin = Sketch(0)
        twin._size, twin._n, twin._set_hash = self._size, self._n, self._set_hash
        twin._cells, twin._counts = self._cells[:], self._counts[:]
        return twin

    @property
    def n(self) -> int:
        """Ids in the set."""
        return self._n

    @property
    def set_hash(self) -> int:
        """XOR of the mixed ids, 64 bits."""
        return self._set_hash

    def add(self, short_id: ShortId) -> None:
        """Put in an id that is not in the set. Cost: as `add_many`."""
        self.add_many((short_id,))

    def add_many(self, ids: Iterable[ShortId]) -> None:
        """As `add` for each of `ids`. Cost: 0.4 µs per id, and 4 µs once the symbols change."""
        self._note(ids, 1)

    def remove(self, short_id: ShortId) -> None:
        """Take out an id that is in the set."""
        self.remove_many((short_id,))

    def remove_many(self, ids: Iterable[ShortId]) -> None:
        """As `remove` for each of `ids`."""
        self._note(ids, -1)

    def _note(self, ids: Iterable[ShortId], delta: int) -> None:
        waiting, set_hash, n = self._waiting, self._set_hash, self._n
        for short_id in ids:
            set_hash ^= mix(short_id)
            n += delta
            # One transaction may add, remove and add again, and be told all additions first.
            net = waiting.pop(short_id, 0) + delta
            if net:
                waiting[short_id] = net
            if len(waiting) >= _WAITING_MAX:
                self.settle()
        self._set_hash, self._n = set_hash, n

    def settle(self) -> None:
        """Let the symbols follow the set now. Cost: 4 µs for each change that waited."""
        cells, counts, size = self._cells, self._counts, self._size
        # The walk of `symbols.indices`, written out: a generator would double its cost, and so
        # would constants of the module half of that.
        mask, factor, two_32, root, up = _MASK, _STEP_FACTOR, _TWO_32, sqrt, ceil
        for short_id, delta in self._waiting.items():
            mixed = ((short_id ^ (short_id >> 29)) * 0xBF58_476D_1CE4_E5B9) & mask
            packed = short_id << 32 | mixed >> 32
            index, state = 0, short_id or 1
            packed *= delta & 1
            while index < size:
                cells[index] ^= packed
                counts[index] += delta
                state = state * factor & mask
                index += up((index + 1.5) * (two_32 / root(state + 1.0) - 1.0)) or 1
        self._waiting.clear()

    def snapshot(self) -> SketchSnapshot:
        """Return a copy that later changes do not touch.

        Cost: about 30 µs, whatever n is, and 4 µs for each of at most 4,096 changes that waited.
        """
        self.settle()
        return SketchSnapshot(self._n, self._set_hash, tuple(self._cells), tuple(self._counts))


def encode_symbols(snapshot: SketchSnapshot, first: int, count: int) -> bytes:
    """Return the columns of symbols `first` to `first + count - 1`."""
    end = first + count
    return encode_columns(snapshot.cells[first:end], snapshot.counts[first:end])
