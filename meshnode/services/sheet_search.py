"""Finds reflex sheets by words, in memory alone: no index is ever on the disk.

Made of opened sheets when somebody first searches, and gone with the desk when the device locks.
Every word must be found; a word in the title weighs most. Source: security 2.10, decision 35.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from meshnode.errors import SendError
from meshnode.runtime import Runtime
from meshnode.services.french import stem, terms, words
from meshnode.services.sheets import Sheets, SheetState
from meshnode.viewer.reading import read_document_untrusted, words_of
from protocol.errors import RemoteProtocolError
from protocol.sheet_bounds import SHEET_TERMS_MAX
from protocol.sheets import Sheet

__all__ = ["Found", "SheetSearch"]

_IN_TITLE: Final = 8.0
_IN_KEYWORDS: Final = 5.0
_PREFIX_MIN: Final = 3
_BEGINNING: Final = 0.6
"""A word of which only the beginning was asked for weighs less."""
_QUERY_WORDS_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class Found:
    """One sheet that a search found."""

    state: SheetState
    """The sheet."""
    score: float
    """Higher is nearer; comparable within one search."""


@dataclass(frozen=True, slots=True)
class _Indexed:
    weights: Mapping[str, float] = field(repr=False)
    """How much each stem says of the sheet."""
    has_text: bool
    """Its content is in it, not only its title."""


class SheetSearch:
    """An index of what this device may open, made as it is needed."""

    def __init__(self, sheets: Sheets, runtime: Runtime) -> None:
        self._sheets = sheets
        self._runtime = runtime
        self._indexed: dict[bytes, _Indexed] = {}

    async def search(self, query: str, limit: int) -> list[Found]:
        """Return the sheets that hold every word of `query`, the nearest first.

        A word of three letters or more finds those that begin with it, too. Raises: StoreError,
        LockedError. Cost: once for each sheet about as long as showing it.
        """
        states = await self._sheets.states()
        await self._catch_up(states)
        asked = list(dict.fromkeys(words(query)))[:_QUERY_WORDS_MAX]
        if not asked:
            return []
        scores = [self._scores(word) for word in asked]
        found = [
            Found(each, sum(score[each.record.sheet.file_id] for score in scores))
            for each in states
            if all(each.record.sheet.file_id in score for score in scores)
        ]
        found.sort(key=lambda each: (-each.score, each.state.record.sheet.name))
        return found[:limit]

    async def _catch_up(self, states: list[SheetState]) -> None:
        """Take in what came, and forget what was retracted."""
        wanted = {each.record.sheet.file_id: each for each in states}
        self._indexed = {f: each for f, each in self._indexed.items() if f in wanted}
        for file_id, state in wanted.items():
            held = self._indexed.get(file_id)
            if held is None or (state.is_whole and not held.has_text):
                self._indexed[file_id] = await self._index(state)

    async def _index(self, state: SheetState) -> _Indexed:
        sheet, raw = state.record.sheet, b""
        if state.is_whole:
            try:
                raw = await self._sheets.content(sheet)
            except SendError:
                # Retracted or damaged a moment ago: what is left of it is its title.
                raw = b""
        return await self._runtime.run_blocking(_weigh, sheet, raw)

    def _scores(self, word: str) -> dict[bytes, float]:
        """Return how much one word says of each sheet that holds it."""
        found = {}
        for file_id, each in self._indexed.items():
            weight = _weight(each.weights, word)
            if weight:
                found[file_id] = weight
        rarity = math.log(1 + len(self._indexed) / max(1, len(found)))
        return {file_id: weight * rarity for file_id, weight in found.items()}


def _weigh(sheet: Sheet, raw: bytes) -> _Indexed:
    text = ""
    if raw:
        try:
            text = words_of(read_document_untrusted(raw, sheet.form))
        except RemoteProtocolError:
            # An operator published what cannot be shown: it is found by its title.
            text = ""
    counts: Counter[str] = Counter()
    for term in terms(text):
        if term in counts or len(counts) < SHEET_TERMS_MAX:
            counts[term] += 1
    weights = {term: 1 + math.log(count) for term, count in counts.items()}
    for term in terms(" ".join(sheet.keywords)):
        weights[term] = weights.get(term, 0) + _IN_KEYWORDS
    for term in terms(f"{sheet.title} {sheet.name}"):
        weights[term] = weights.get(term, 0) + _IN_TITLE
    return _Indexed(weights, has_text=bool(raw))


def _weight(weights: Mapping[str, float], word: str) -> float:
    exact = weights.get(stem(word), 0.0)
    if exact or len(word) < _PREFIX_MIN:
        return exact
    begun = [weight for term, weight in weights.items() if term.startswith(word)]
    return _BEGINNING * max(begun, default=0.0)
