"""How many bytes of bundles may be under way: what the peer acknowledges in 0.4 s.

Without a bound, an urgent bundle would wait behind everything that buffers of the way have
swallowed. Delivery rate is measured as BBR does (Cardwell et al. 2016): bytes acknowledged since
a bundle was sent, over the time since. Source: wire-format 6.10.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from protocol.limits import WINDOW_BYTES_FIRST, WINDOW_BYTES_MAX, WINDOW_BYTES_MIN, WINDOW_MS

__all__ = ["Window"]

_SAMPLES = 8


class Window:
    """The bound for message, state and bulk; authority and sos may pass it."""

    def __init__(self) -> None:
        self._under_way: deque[tuple[int, int, int]] = deque()
        self.delivered_bytes = 0
        self._rates: deque[float] = deque(maxlen=_SAMPLES)
        self.under_way_bytes = 0
        self.bytes_max = WINDOW_BYTES_FIRST

    def sent(self, sizes_bytes: Sequence[int], now_ms: int) -> None:
        """Note bundles put on the wire together."""
        delivered_bytes = self.delivered_bytes
        self._under_way.extend([(size, delivered_bytes, now_ms) for size in sizes_bytes])
        self.under_way_bytes += sum(sizes_bytes)

    def acknowledged(self, count: int, now_ms: int) -> None:
        """Note that the oldest `count` bundles under way were acknowledged."""
        settled_bytes = 0
        for _ in range(count):
            size_bytes, delivered_before, sent_ms = self._under_way.popleft()
            settled_bytes += size_bytes
        self.delivered_bytes += settled_bytes
        self.under_way_bytes -= settled_bytes
        if count:
            elapsed_ms = max(1, now_ms - sent_ms)
            self._rates.append((self.delivered_bytes - delivered_before) / elapsed_ms)
            wanted = int(max(self._rates) * WINDOW_MS)
            self.bytes_max = min(max(wanted, WINDOW_BYTES_MIN), WINDOW_BYTES_MAX)

    def room_bytes(self, *, is_urgent: bool) -> int:
        """Return for how many more bytes bundles may go now: one goes while there is any room.

        `is_urgent` is said of class authority or sos, which may pass the window.
        """
        beyond_bytes = WINDOW_BYTES_MIN if is_urgent else 0
        return self.bytes_max + beyond_bytes - self.under_way_bytes
