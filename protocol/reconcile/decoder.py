"""Peels the difference of two sketches into what the peer lacks and what we lack.

The far symbols come in blocks; ours are subtracted; symbols that hold one id give it away and
are taken out of the others. How many symbols to ask for follows from an estimate of the number of
differences. Work is bounded by the symbols asked for. Source: wire-format 5 and 6.6.
"""

from __future__ import annotations

from math import ceil, sqrt

from protocol.ids import ShortId
from protocol.limits import SKETCH_SYMBOLS
from protocol.reconcile import flights
from protocol.reconcile.estimate import Estimate, estimate_differences
from protocol.reconcile.sketch import SketchSnapshot
from protocol.reconcile.symbols import SymbolBlock, mix, set_hash_of

__all__ = ["Decoder"]

_SPARSE_MAX = 63
"""Symbols looked at one by one for the estimate."""
_MASK = 0xFFFF_FFFF_FFFF_FFFF
_CHECK_FACTOR = 0xBF58_476D_1CE4_E5B9
_STEP_FACTOR = 0xDA94_2042_E4DD_58B5
_TWO_32 = float(1 << 32)


class Decoder:
    """One reconciliation of one interest, seen from the initiator."""

    def __init__(self, local: SketchSnapshot, remote_n: int, remote_set_hash: int) -> None:
        self._local = local
        self.remote_n = remote_n
        self.remote_set_hash = remote_set_hash
        self._cells: list[int] = []
        self._counts: list[int] = []
        # Recovered ids with the next symbol each goes to: [id, sign, index, state].
        self._walks: list[tuple[int, int, int, int]] = []
        # Squared deviations of counts, each in units of one difference, over all symbols but 0.
        self._spread = 0.0
        # Whether symbols 1, 2 … of the first flight hold fewer than two differences.
        self._is_sparse: list[bool] = []
        self.have: list[ShortId] = []
        self.need: list[ShortId] = []
        self.is_done = False
        self.has_failed = False

    @property
    def symbols(self) -> int:
        """Far symbols fed so far."""
        return len(self._cells)

    def feed(self, block: SymbolBlock) -> None:
        """Take in the next far symbols; sets `is_done` once everything is known.

        Raises: ValueError if the block does not follow the last one. Cost: about 6 µs per symbol.
        """
        if block.first != len(self._cells):
            raise ValueError("symbols come in order")
        first, local = block.first, self._local
        end = first + len(block.counts)
        ours = zip(local.cells[first:end], local.counts[first:end], strict=True)
        theirs = zip(block.sums, block.checks, block.counts, strict=True)
        surplus, cells, counts = self.remote_n - local.n, self._cells, self._counts
        pairs = zip(ours, theirs, strict=True)
        for index, ((cell, count_a), (sum_b, check_b, count_b)) in enumerate(pairs, first):
            cells.append(cell ^ (sum_b << 32 | check_b))
            # Counts come modulo 256; the difference is the one nearest to what the sizes explain.
            chance = 2 / (index + 2)
            likely = round(surplus * chance)
            stray = (count_b - count_a - likely + 128 & 0xFF) - 128
            counts.append(likely + stray)
            if index:
                # A difference is in symbol i with chance p, so the variance is d p (1 - p).
                self._spread += (likely + stray - surplus * chance) ** 2 / (chance * (1 - chance))
        if first == 0:
            self._is_sparse = [self._is_sparse_at(index) for index in range(1, end)][:_SPARSE_MAX]
        self._catch_up()
        self._peel(range(first, end))
        self._judge()

    def _catch_up(self) -> None:
        """Take the ids recovered so far out of symbols that came after them."""
        walks, self._walks = self._walks, []
        for short_id, sign, index, state in walks:
            self._remove(short_id, sign, index, state, None)

    def _remove(
        self, short_id: int, sign: int, index: int, state: int, touched: list[int] | None
    ) -> None:
        cells, counts, end = self._cells, self._counts, len(self._cells)
        mixed = ((short_id ^ (short_id >> 29)) * _CHECK_FACTOR) & _MASK
        packed = short_id << 32 | mixed >> 32
        while index < end:
            cells[index] ^= packed
            counts[index] -= sign
            if touched is not None and counts[index] in (1, -1):
                touched.append(index)
            state = state * _STEP_FACTOR & _MASK
            index += ceil((index + 1.5) * (_TWO_32 / sqrt(state + 1.0) - 1.0)) or 1
        self._walks.append((short_id, sign, index, state))

    def _peel(self, fresh: range) -> None:
        cells, counts = self._cells, self._counts
        stack = [index for index in fresh if counts[index] in (1, -1)]
        found = {walk[0] for walk in self._walks}
        while stack:
            index = stack.pop()
            sign = counts[index]
            if sign not in (1, -1):
                continue
            short_id, check = cells[index] >> 32, cells[index] & 0xFFFF_FFFF
            mixed = ((short_id ^ (short_id >> 29)) * _CHECK_FACTOR) & _MASK
            if mixed >> 32 != check or short_id in found:
                continue
            if len(found) == len(cells):
                # Honest symbols hold fewer ids than there are symbols: these were made to last.
                self.has_failed = True
                return
            found.add(short_id)
            (self.need if sign > 0 else self.have).append(short_id)
            self._remove(short_id, sign, 0, short_id or 1, stack)

    def _judge(self) -> None:
        if self.has_failed or not self._cells or self._cells[0] or self._counts[0]:
            return
        n = self._local.n - len(self.have) + len(self.need)
        total = self._local.set_hash ^ set_hash_of(self.have) ^ set_hash_of(self.need)
        if (n, total) == (self.remote_n, self.remote_set_hash):
            self.is_done = True
        else:
            self.has_failed = True

    def _is_sparse_at(self, index: int) -> bool:
        count, cell = self._counts[index], self._cells[index]
        if count in (1, -1):
            return mix(cell >> 32) >> 32 == cell & 0xFFFF_FFFF
        return count == 0 and cell == 0

    def estimate(self) -> Estimate:
        """Return the estimated number of differences, at least those that are certain."""
        estimate = estimate_differences(self._spread, len(self._cells) - 1, self._is_sparse)
        proven = abs(self.remote_n - self._local.n)
        found = len(self.have) + len(self.need)
        return Estimate(max(estimate.differences, proven, found), estimate.doubt)

    def next_count(self) -> int:
        """Return how many more symbols to ask for; 0 means that a list of ids is the better way."""
        if self.has_failed:
            return 0
        size = min(SKETCH_SYMBOLS, self._local.symbols)
        found = len(self.have) + len(self.need)
        return flights.next_count(self.estimate(), found, len(self._cells), self.remote_n, size)
