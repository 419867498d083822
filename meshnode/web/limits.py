"""What the web interface takes of anybody at once; beyond it a request is turned away and counted.

Like `protocol/limits.py`, each bound has its unit in its name and its reason below it.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "BODY_BYTES_MAX",
    "CODES_MAX",
    "CODE_S_MAX",
    "CONNECTIONS_MAX",
    "FILES_MAX",
    "FILE_BODY_BYTES_MAX",
    "FILE_TURN_S",
    "GUESTS_MAX",
    "JSON_DEPTH_MAX",
    "LONG_REQUEST_S_MAX",
    "ORDER_REQUESTS_MAX",
    "ORDER_REQUEST_S_MAX",
    "PULSE_S",
    "REQUESTS_MAX",
    "REQUEST_S_MAX",
    "SESSIONS_MAX",
    "SESSION_S_MAX",
    "STOP_MS_MAX",
    "STREAMS_MAX",
    "STREAM_SEND_S_MAX",
    "TOKENS_MAX",
    "TOKEN_DAYS_MAX",
]

# --- who may come ------------------------------------------------------------

CODES_MAX: Final = 8
"""One-time codes that wait to be used; the oldest goes."""
CODE_S_MAX: Final = 300
"""A code lives as long as it takes to open a page on another screen."""
SESSIONS_MAX: Final = 64
"""Browsers signed in at once; the first one of the token that has most goes."""
SESSION_S_MAX: Final = 43_200
"""Twelve hours, a long shift."""
TOKENS_MAX: Final = 64
"""Named tokens of programs; a person reads the list."""
TOKEN_DAYS_MAX: Final = 400
"""A year and a month: whoever renews yearly is not cut off by a holiday."""

ORDER_REQUESTS_MAX: Final = 32
"""Requests for an order that are kept; more than two people can look at in their time."""
ORDER_REQUEST_S_MAX: Final = 14_400
"""Four hours: the holders of two cards are fetched; what is asked for in one shift ends in it."""

# --- what they may send ------------------------------------------------------

BODY_BYTES_MAX: Final = 262_144
"""A text of 16 kB, at most six times as long in JSON, and what stands around it."""
FILE_BODY_BYTES_MAX: Final = 52_690_944
"""The largest attachment, and the form around it."""
JSON_DEPTH_MAX: Final = 8
"""Deeper than any body of ours, and far from what a parser cannot take."""

# --- how much at once --------------------------------------------------------

CONNECTIONS_MAX: Final = 256
"""Sockets open at once; a browser takes six. The network that holds most makes room for others."""
REQUESTS_MAX: Final = 64
"""Requests that are being answered, event streams beside them."""
GUESTS_MAX: Final = 48
"""Of these, requests of nobody who is signed in: eight pages that load. The rest is for others."""
LONG_REQUEST_S_MAX: Final = 600
"""A large file over a slow network, or a report of a large archive."""
REQUEST_S_MAX: Final = 60
"""An answer takes at most that long, or the request gives its place to others."""
FILES_MAX: Final = 2
"""Whole files in memory at once, of 50 MB each; who comes then waits."""
FILE_TURN_S: Final = 60
"""After that long the slowest file makes room for whoever waits: 50 MB at 7 Mbit/s are through."""
STREAMS_MAX: Final = 32
"""Event streams at once; a screen has one. The token that has most makes room for others."""
STREAM_SEND_S_MAX: Final = 20
"""A reader that takes nothing for so long is gone."""
PULSE_S: Final = 15
"""Between two signs of life on a quiet stream: networks forget a silent connection in a minute."""
STOP_MS_MAX: Final = 800
"""What is being answered when the node stops gets so long to end."""
