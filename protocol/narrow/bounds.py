"""Bounds of narrow links. Source: wire-format 11, security 2.3."""

from __future__ import annotations

from typing import Final

__all__ = [
    "ACK_DELAY_MS",
    "LINE_BUFFER_BYTES",
    "NARROW_FORM_BYTES_MAX",
    "NARROW_FRAME_BYTES_MAX",
    "OPEN_TRIES_MAX",
    "RETRY_FIRST_MS",
    "RETRY_MS_MAX",
    "RETRY_MS_MIN",
    "SILENCE_MS_MAX",
    "STATION_BEACON_MS",
    "WINDOW_FRAMES",
]

NARROW_FRAME_BYTES_MAX: Final = 256
"""Longest frame, check sum included: what packet radio carries (AX.25), and at 9.6 kbit/s a
quarter of a second, so that an SOS waits no longer for the line."""
NARROW_FORM_BYTES_MAX: Final = NARROW_FRAME_BYTES_MAX - 16
"""Longest bundle sent without a session: a frame less the 16 bytes of its seal."""
WINDOW_FRAMES: Final = 16
"""Frames in flight: 3.8 kB, three times what 9.6 kbit/s hold in a second; bits of `got` as well."""
LINE_BUFFER_BYTES: Final = 4_096
"""Bytes taken from the session before it must wait: more would only queue up before an SOS."""
ACK_DELAY_MS: Final = 150
"""An acknowledgement waits this long for data to ride on."""
RETRY_FIRST_MS: Final = 3_000
"""Time-out before the first measured round trip (RFC 6298 takes 1 s, for faster nets)."""
RETRY_MS_MIN: Final = 500
"""Shorter, and the peer's delayed acknowledgements look like losses."""
RETRY_MS_MAX: Final = 6_000
"""Longer, and a line that is back stays unused; nothing else shares the line, as a net does."""
SILENCE_MS_MAX: Final = 90_000
"""Nothing at all was heard for so long while an answer is owed: the link is over. Even where a
third of all frames is lost, both ways, that happens to one answer in 10,000."""
OPEN_TRIES_MAX: Final = 4
"""Calls to a station before it counts as gone."""
STATION_BEACON_MS: Final = 30_000
"""A station tells that it is there: 15 bytes, half a per mille of a line of 9.6 kbit/s."""
