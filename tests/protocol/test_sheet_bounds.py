"""Bounds of sheets fit one another, and those of bundles."""

from __future__ import annotations

from protocol import sheet_bounds as bounds
from protocol.envelope import pad
from protocol.limits import BODY_BYTES_MAX, KINDS, Kind


def test_a_whole_catalogue_fits_a_bundle() -> None:
    assert len(pad(bytes(bounds.CATALOGUE_BYTES_MAX))) + 16 <= BODY_BYTES_MAX
    assert len(pad(bytes(bounds.CATALOGUE_BYTES_MAX + 1))) > len(
        pad(bytes(bounds.CATALOGUE_BYTES_MAX))
    )


def test_bounds_fit_one_another() -> None:
    assert bounds.SHEET_BYTES_MAX < bounds.SHEETS_BYTES_MAX < bounds.SHEETS_HELD_BYTES_MAX
    assert bounds.SHEETS_MAX < bounds.SHEETS_HELD_MAX
    assert 1000 * KINDS[Kind.SHEETS].lifetime_s > bounds.SHEET_RENEW_MS
    assert 1000 * KINDS[Kind.SHEETS].lifetime_s - bounds.SHEET_RENEW_MS > 1000 * bounds.SHEET_LOOK_S
