"""Bounds of what sensors may say, how much of it is read, and how long anything may take.

Each constant has its unit in its name and its reason beside it, as in `protocol.limits`; none of
them travels.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ACCURACY_M_MAX",
    "BATTERY_FLIP_S_MIN",
    "BATTERY_MISSING_S",
    "BATTERY_POWER_W_MAX",
    "BUS_CALL_S_MAX",
    "BUS_SETTLE_S",
    "CONNECT_S_MAX",
    "FIX_SILENT_S",
    "GPSD_LINE_BYTES_MAX",
    "GPSD_SILENT_S_MAX",
    "JUMP_AGREEING_COUNT",
    "JUMP_AGREEING_S",
    "MODEMS_MAX",
    "NMEA_LINE_BYTES_MAX",
    "NMEA_TALKERS_MAX",
    "NMEA_TALKER_S",
    "OPERATOR_CHARS_MAX",
    "POWER_SUPPLIES_MAX",
    "REPLAY_BYTES_MAX",
    "REPLAY_LINE_BYTES_MAX",
    "REPLAY_S_MAX",
    "SENSORS_OF_KIND_MAX",
    "SENSOR_BYTES_PER_S_MAX",
    "SOURCE_CLOCK_MS_MAX",
    "SPEED_M_S_MAX",
    "STREAM_FRESH_S",
    "SYSFS_FILE_BYTES_MAX",
    "TERMUX_BYTES_MAX",
    "TERMUX_KILL_S_MAX",
    "TERMUX_LOCATION_S_MAX",
    "TERMUX_S_MAX",
]

# --- sensors -----------------------------------------------------------------------------------
SENSORS_OF_KIND_MAX: Final = 8
"""Sources of one kind of reading; a device has two or three."""
SENSOR_BYTES_PER_S_MAX: Final = 65_536
"""A source is read no faster: a serial line at 115,200 baud gives 11,520; a flood costs no core."""
BATTERY_MISSING_S: Final = 900
"""Where there is no battery it is looked for this often: few devices get one while they run."""
STREAM_FRESH_S: Final = 15
"""A position of a source that speaks every second is the one to go by this long."""
ACCURACY_M_MAX: Final = 100_000
"""A fix that is less exact is none; the radius that a position can tell to others."""
SPEED_M_S_MAX: Final = 278
"""1,000 km/h, beyond any craft of customs: a position further away than this allows is a jump."""
JUMP_AGREEING_COUNT: Final = 5
"""So many readings in a row that agree with each other overrule where the device was before."""
JUMP_AGREEING_S: Final = 10
"""They must also span this long: a burst proves nothing."""
SOURCE_CLOCK_MS_MAX: Final = 86_400_000
"""A source whose date is further from ours lies, or forgot its week as old receivers do."""
FIX_SILENT_S: Final = 30
"""After this long without a position a source says why there is none."""
BATTERY_POWER_W_MAX: Final = 10_000
"""More than any battery of a vehicle or a boat box gives or takes."""
BATTERY_FLIP_S_MIN: Final = 10
"""Charging or not changes no faster than this: a loose plug must not wake everybody."""
OPERATOR_CHARS_MAX: Final = 64
"""Longest name of a mobile network; the standards know 24 characters."""
CONNECT_S_MAX: Final = 5
"""Connecting to gpsd or to a message bus."""
GPSD_LINE_BYTES_MAX: Final = 16_384
"""One report; gpsd's own bound is 10,240."""
GPSD_SILENT_S_MAX: Final = 300
"""gpsd without a receiver is silent; after this the connection may be dead and is made anew."""
NMEA_LINE_BYTES_MAX: Final = 256
"""One sentence with what multiplexers put before it; the standard allows 82 characters."""
NMEA_TALKERS_MAX: Final = 8
"""Senders on a UDP port that are told apart."""
NMEA_TALKER_S: Final = 30
"""The sender that gave a position is the only one believed until it is silent for this long."""
TERMUX_BYTES_MAX: Final = 65_536
"""Output of one command; a list of 32 cells has some 10 kB."""
TERMUX_S_MAX: Final = 20
"""Answer of one command; slow phones were seen to need 7 s, and some calls never return."""
TERMUX_LOCATION_S_MAX: Final = 60
"""A first fix of a phone that was off."""
TERMUX_KILL_S_MAX: Final = 5
"""Wait for a killed command; the kernel may keep it longer, and then it is left to it."""
BUS_CALL_S_MAX: Final = 5
"""Answer to one call on D-Bus."""
BUS_SETTLE_S: Final = 0.25
"""Changes on D-Bus come in a row; they are looked at at most this often."""
MODEMS_MAX: Final = 8
"""Modems that are looked at."""
POWER_SUPPLIES_MAX: Final = 16
"""Folders of power supplies that are looked at."""
SYSFS_FILE_BYTES_MAX: Final = 4_096
"""One attribute of the kernel: a page."""
REPLAY_BYTES_MAX: Final = 8_388_608
"""A replay file: a day of positions each second."""
REPLAY_LINE_BYTES_MAX: Final = 1_024
"""One reading of a replay file."""
REPLAY_S_MAX: Final = 2_592_000
"""Latest reading of a replay file: thirty days after the start."""
