"""Bounds of narrow links. Source: wire-format 11, security 2.3."""

from __future__ import annotations

from typing import Final

__all__ = [
    "ACK_DELAY_MS",
    "AIRED_ALARMS_MAX",
    "AIRED_MS_MAX",
    "AIRED_SLOTS_MAX",
    "ALARM_AGAIN_MS_MIN",
    "ALARM_COPIES_HEARD_MAX",
    "ALARM_RELAY_MS",
    "ALARM_RETRY_MS_MAX",
    "ALARM_RETRY_MS_MIN",
    "ALARM_TIMES_MS",
    "BACKGROUNDS_MAX",
    "LINE_BUFFER_BYTES",
    "NARROW_FORM_BYTES_MAX",
    "NARROW_FRAME_BYTES_MAX",
    "OPEN_TRIES_MAX",
    "POSITIONS_PER_WHOLE",
    "POSITION_PACE_MS_MAX",
    "POSITION_SHARE",
    "RETRY_FIRST_MS",
    "RETRY_MS_MAX",
    "RETRY_MS_MIN",
    "SHIFT_TIMES_MS",
    "SILENCE_MS_MAX",
    "STATION_BEACON_MS",
    "WHOLE_EVERY_MS",
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
ALARM_TIMES_MS: Final = (0, 2_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000)
"""When an alarm is sent without a session, from its coming on: at once, and on if it was lost;
with 2 % loss nobody in hearing misses the first two more often than once in 2,500."""
ALARM_RETRY_MS_MIN: Final = 2_000
"""An alarm that its port could not send, as it is shut or unplugged, begins anew after this."""
ALARM_RETRY_MS_MAX: Final = 60_000
"""And at the latest after this, however long the port was away."""
ALARM_AGAIN_MS_MIN: Final = 300_000
"""An own alarm that nobody took is not sent once more sooner after it was sent last."""
ALARM_RELAY_MS: Final = ((1_000, 4_000), (8_000, 16_000))
"""Between which times one that was heard is sent on: others choose other moments."""
ALARM_COPIES_HEARD_MAX: Final = 5
"""An alarm heard so often while it waits is not sent on: everybody around has it."""
AIRED_MS_MAX: Final = 3_600_000
"""What is older is left to sessions: a boat comes to port with a week of others' alarms."""
AIRED_ALARMS_MAX: Final = 64
"""Alarms sent at a time: the SOS of two authors' hours and more; a hundred bytes each."""
SHIFT_TIMES_MS: Final = (0, 10_000, 60_000, 300_000)
"""When a shift is told: who does not hear of its end keeps positions until its latest end."""
AIRED_SLOTS_MAX: Final = 64
"""Shifts told at a time, and authors whose positions are sent: six squads; the oldest go first."""
POSITION_SHARE: Final = 0.25
"""Of the line, for positions and their shifts: at 9.6 kbit/s two a second, at 1.2 one in 4 s."""
POSITION_PACE_MS_MAX: Final = 600_000
"""Positions over a port that is billed are no rarer than this while its ordinary part lasts: a mate
who is shown as ten minutes old can be looked for."""
POSITIONS_PER_WHOLE: Final = 10
"""Every tenth goes whole, for those who came into hearing later: a tenth more bytes."""
WHOLE_EVERY_MS: Final = 300_000
"""Where positions are rare, one goes whole after so long."""
BACKGROUNDS_MAX: Final = 8
"""Signatures checked for one short form: 1 ms of processor time for whoever holds a radio key."""
