"""The slow, obvious union of catalogues: for each name look at everything anybody ever said."""

from __future__ import annotations

from collections.abc import Sequence

from protocol.sheets import Catalogue, encode_sheet, sheet_id_of

__all__ = ["union"]


def union(found: Sequence[Catalogue]) -> Catalogue:
    """Return what all of them say together, whatever their order."""
    every = [sheet for each in found for sheet in each.sheets]
    ids = {sheet_id for each in found for sheet_id in each.retracted}
    highest = {i: max(each.retracted.get(i, 0) for each in found) for i in ids}
    kept = []
    for name in sorted({sheet.name for sheet in every}):
        ranked = sorted(
            (s for s in every if s.name == name), key=lambda s: (s.version, encode_sheet(s))
        )
        if ranked[-1].version > highest.get(sheet_id_of(name), 0):
            kept.append(ranked[-1])
    return Catalogue(max(each.version for each in found), tuple(kept), highest)
