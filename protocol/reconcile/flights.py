"""How many coded symbols to send first, and how many to ask for: the costs of a flight.

A difference takes about 1.35 symbols once there are many, and more while there are few. Too few
symbols cost a round trip, too many cost bytes: flights are sized so that nine of ten suffice.
Source: wire-format 6.6; the constants are fitted to simulated decodes.
"""

from __future__ import annotations

from math import ceil, sqrt

from protocol.limits import SKETCH_SYMBOLS
from protocol.reconcile.estimate import Estimate
from protocol.reconcile.symbols import SYMBOL_BYTES

__all__ = ["FIRST_FLIGHT", "first_count", "next_count", "symbols_for"]

FIRST_FLIGHT = 64
"""Symbols of the first flight: 0.9 kB, enough for 30 differences in 97 of 100 contacts."""
_ID_BYTES = 8
_MARGIN = 1.45
"""Standard deviations by which the estimate may be too low: nine of ten are less so."""
_DOUBT_MAX = 0.75
"""Beyond, an estimate says nothing."""
_SCATTER = 0.2
"""Relative variance of the symbols that decoding takes, times the differences."""
_TOP_UP_MIN = 4
"""With these a contact of 20 differences stays below 1 kB even in the rare second flight."""
_TOP_UP_SHARE = 0.15
"""Of the symbols held, asked for at least in a third flight and later."""


def symbols_for(differences: int) -> float:
    """Return how many symbols decode so many differences in half of all cases."""
    return differences * (1.35 + 1.1 / sqrt(max(differences, 1)))


def first_count(ours: int, theirs: int, size: int = SKETCH_SYMBOLS) -> int:
    """Return the symbols that a responder with `ours` ids sends unasked; 0 means the list.

    The sizes of the sets prove a least number of differences, whose symbols are not wasted.
    """
    proven = abs(ours - theirs)
    count = max(FIRST_FLIGHT, ceil(symbols_for(proven) * 1.05) if proven else 0)
    if count > size or count * SYMBOL_BYTES >= ours * _ID_BYTES:
        return 0
    return count


def next_count(estimate: Estimate, found: int, held: int, theirs: int, size: int) -> int:
    """Return how many more symbols to ask for; 0 means that a list of ids is the better way.

    `found` counts differences that are known, `held` the symbols that are here, `theirs` the ids
    of the peer, `size` the symbols that either sketch has.
    """
    likely = symbols_for(estimate.differences)
    doubt = sqrt(estimate.doubt**2 + _SCATTER / estimate.differences)
    # The truth may lie so far above the estimate that the estimate is this far below the truth.
    count = ceil(likely / (1 - min(_MARGIN * doubt, _DOUBT_MAX))) - held
    if count <= 0:
        count = max(_TOP_UP_MIN, ceil(1.5 * (estimate.differences - found)))
    if held > FIRST_FLIGHT:
        # More than was thought likely did not suffice: small steps would cost round trips.
        count = max(count, ceil(held * _TOP_UP_SHARE))
    if held + count > size:
        # All there are, unless even a lucky estimate is beyond them: the list costs far more.
        count = size - held
        if count <= 0 or likely * (1 - 2 * doubt) > size:
            return 0
    if count * SYMBOL_BYTES > theirs * _ID_BYTES:
        return 0
    return count
