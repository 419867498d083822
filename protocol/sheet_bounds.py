"""Bounds of reflex sheets, with unit and reason. Source: STYLE 15, wire-format 13."""

from __future__ import annotations

from typing import Final

__all__ = [
    "CATALOGUE_BYTES_MAX",
    "SHEETS_BYTES_MAX",
    "SHEETS_HELD_BYTES_MAX",
    "SHEETS_HELD_MAX",
    "SHEETS_MAX",
    "SHEET_BYTES_MAX",
    "SHEET_KEYWORDS_MAX",
    "SHEET_KEYWORD_BYTES_MAX",
    "SHEET_KEY_WAIT_MS",
    "SHEET_LOOK_S",
    "SHEET_NAME_BYTES_MAX",
    "SHEET_RENEW_MS",
    "SHEET_TERMS_MAX",
    "SHEET_TITLE_BYTES_MAX",
    "SHEET_WITHDRAWN_MAX",
]

_DAY_MS: Final = 86_400_000

# --- reflex sheets -----------------------------------------------------------------------------
CATALOGUE_BYTES_MAX: Final = 61_439
"""A catalogue before it is padded: one bundle holds it, so no device ever has half of one."""
SHEETS_MAX: Final = 256
"""Sheets that one catalogue names; some 230 bytes each."""
SHEETS_BYTES_MAX: Final = 20_971_520
"""Files of the sheets of one catalogue together: 20 MB, three minutes of a contact at 100 kB/s."""
SHEETS_HELD_MAX: Final = 1_024
"""Sheets that a device keeps, whatever several operators published beside one another."""
SHEETS_HELD_BYTES_MAX: Final = 83_886_080
"""Their files together: four times what one catalogue may name."""
SHEET_BYTES_MAX: Final = 8_388_608
"""One sheet: a few pages and pictures; manuals are sent as files."""
SHEET_NAME_BYTES_MAX: Final = 48
"""Name of a sheet: what people type."""
SHEET_TITLE_BYTES_MAX: Final = 160
"""Title of a sheet in UTF-8: one line of a screen."""
SHEET_KEYWORDS_MAX: Final = 16
"""Keywords of one sheet."""
SHEET_KEYWORD_BYTES_MAX: Final = 40
"""One keyword in UTF-8."""
SHEET_WITHDRAWN_MAX: Final = 1_024
"""Sheets that are named as retracted: 14 bytes each, and none is ever forgotten."""
SHEET_RENEW_MS: Final = 20 * _DAY_MS
"""What its author has published goes out anew after this time: bulk lives 30 days."""
SHEET_KEY_WAIT_MS: Final = 3_600_000
"""A catalogue under a key that is not here is tried again after this time."""
SHEET_LOOK_S: Final = 21_600
"""The node of an operator looks this often whether something has to go out anew, seconds."""
SHEET_TERMS_MAX: Final = 20_000
"""Different words of one sheet that a search looks at: more than any book of rules has."""
