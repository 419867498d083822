"""Reconciliation rounds of one session: who lacks what, interest by interest.

The initiator asks and decodes; the responder answers from its snapshot. Both give frames and
events back to the session, which owns order and bounds. Source: wire-format 6.6.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from protocol.errors import LimitExceededError, RemoteProtocolError
from protocol.ids import ShortId
from protocol.limits import IDS_PER_FRAME_MAX, IDS_PER_LIST_MAX, SKETCH_SYMBOLS
from protocol.reconcile.decoder import FIRST_FLIGHT, Decoder
from protocol.reconcile.interest import Interest
from protocol.reconcile.sketch import SketchSnapshot, encode_symbols
from protocol.reconcile.symbols import decode_symbols_untrusted
from protocol.session import messages
from protocol.session.events import (
    Event,
    IdsNeeded,
    Needed,
    PeerLacks,
    RoundFinished,
    StreamWanted,
)
from protocol.session.frames import FrameType
from protocol.session.messages import IdList, More, Summary, SummaryLine, Symbols

__all__ = ["InitiatorRound", "Output", "ResponderRound"]

_SYMBOL_BYTES = 13
_LIST_SMALLER = FIRST_FLIGHT * _SYMBOL_BYTES // 8
"""A responder with fewer ids than this lists them: cheaper than the first flight."""

Sketches = Mapping[Interest, SketchSnapshot]


@dataclass(slots=True)
class Output:
    """What a step of a round gives back to the session."""

    frames: list[tuple[FrameType, bytes]] = field(default_factory=list)
    """To send, in order."""
    events: list[Event] = field(default_factory=list)
    """To tell the shell, in order."""


@dataclass(slots=True)
class _Listing:
    """Both halves of a fall-back list, as they come in."""

    theirs: array[int] = field(default_factory=lambda: array("Q"))
    """Ids of the peer so far."""
    is_complete: bool = False
    """The last page is here."""
    ours: frozenset[int] | None = None
    """Our ids, once the shell supplied them."""


def _empty() -> SketchSnapshot:
    return SketchSnapshot(0, 0, array("Q"), array("I"), array("q"))


class InitiatorRound:
    """The asking side."""

    def __init__(self, number: int, sketches: Sketches) -> None:
        self.number = number
        self._sketches = {interest: sketch for interest, sketch in sketches.items() if sketch.n}
        self._open: set[Interest] = set(self._sketches)
        self._decoders: dict[Interest, Decoder] = {}
        self._listings: dict[Interest, _Listing] = {}
        self.flights = 0
        self.is_finished = False

    def start(self) -> Output:
        """Return the SUMMARY, and the end of the round where we hold nothing to compare."""
        lines = tuple(
            SummaryLine(interest, sketch.n, sketch.set_hash)
            for interest, sketch in sorted(self._sketches.items())
        )
        payload = messages.encode_summary(Summary(self.number, lines))
        output = Output([(FrameType.SUMMARY, payload)])
        self.flights = 1
        return output

    def on_equal(self, interests: tuple[Interest, ...]) -> Output:
        """These sets are equal; an empty tuple means all of them."""
        for interest in interests or tuple(self._open):
            self._close(interest)
        return self._ended(Output())

    def on_symbols_untrusted(self, symbols: Symbols) -> Output:
        """Decode a flight, and ask for more or for the list where it was not enough."""
        interest = symbols.interest
        output = Output()
        if interest not in self._open:
            raise RemoteProtocolError("symbols of an interest that was not asked for")
        if symbols.n == 0:
            self._close(interest)
            output.events.append(StreamWanted(interest))
            return self._ended(output)
        decoder = self._decoders.get(interest)
        if decoder is None:
            decoder = Decoder(self._sketches[interest], symbols.n, symbols.set_hash)
            self._decoders[interest] = decoder
        if symbols.first != decoder.symbols or symbols.count == 0:
            raise RemoteProtocolError("symbols out of order")
        decoder.feed(
            decode_symbols_untrusted(symbols.columns, symbols.count, symbols.n, symbols.first)
        )
        if decoder.is_done:
            self._close(interest)
            output.events += _difference(interest, decoder.have, decoder.need)
            return self._ended(output)
        more = More(self.number, interest, decoder.symbols, decoder.next_count())
        self.flights += 1
        output.frames.append((FrameType.MORE, messages.encode_more(more)))
        return output

    def on_list_untrusted(self, page: IdList) -> Output:
        """Take in a page of the responder's ids."""
        interest, output = page.interest, Output()
        if interest not in self._open:
            raise RemoteProtocolError("a list of an interest that was not asked for")
        listing = self._listings.get(interest)
        if listing is None:
            listing = self._listings[interest] = _Listing()
            output.events.append(IdsNeeded(interest))
        if listing.is_complete:
            raise RemoteProtocolError("a list goes on after its end")
        listing.theirs.extend(page.ids)
        listing.is_complete = page.is_last
        if len(listing.theirs) > IDS_PER_LIST_MAX:
            raise LimitExceededError("listed ids", IDS_PER_LIST_MAX, len(listing.theirs))
        return self._compared(interest, listing, output)

    def supply_ids(self, interest: Interest, ids: Iterable[ShortId]) -> Output:
        """Our own ids of an interest, as asked for by IdsNeeded."""
        listing = self._listings.get(interest)
        if listing is None or interest not in self._open:
            return Output()
        listing.ours = frozenset(ids)
        return self._compared(interest, listing, Output())

    def _compared(self, interest: Interest, listing: _Listing, output: Output) -> Output:
        if not listing.is_complete or listing.ours is None:
            return output
        theirs = set(listing.theirs)
        have = sorted(listing.ours - theirs)
        need = sorted(theirs - listing.ours)
        self._close(interest)
        output.events += _difference(interest, have, need)
        return self._ended(output)

    def _close(self, interest: Interest) -> None:
        if interest not in self._open:
            raise RemoteProtocolError("an answer for an interest that was not asked for")
        self._open.discard(interest)
        self._decoders.pop(interest, None)
        self._listings.pop(interest, None)

    def on_end(self) -> Output:
        """The responder said that it compared everything we listed nothing for."""
        return self._ended(Output())

    def _ended(self, output: Output) -> Output:
        if not self._open and not self.is_finished:
            self.is_finished = True
            output.frames.append((FrameType.ROUND_END, _round_payload(self.number)))
            output.events.append(RoundFinished(self.number))
        return output


def _round_payload(number: int) -> bytes:
    return messages.encode_round(number)


def _difference(
    interest: Interest, have: Iterable[ShortId], need: Iterable[ShortId]
) -> Iterator[Event]:
    lacking, wanting = tuple(have), tuple(need)
    if lacking:
        yield PeerLacks(interest, lacking)
    if wanting:
        yield Needed(wanting)


class ResponderRound:
    """The answering side; serves every flight from one snapshot."""

    def __init__(self, summary: Summary, sketches: Sketches) -> None:
        self.number = summary.round
        self._lines = {line.interest: line for line in summary.lines}
        self._sketches = {interest: sketch for interest, sketch in sketches.items() if sketch.n}
        self._lists: deque[Interest] = deque()

    def start(self) -> Output:
        """Answer the SUMMARY: equal, list, first symbols, or stream."""
        output, equal = Output(), []
        for interest in sorted(self._lines):
            line, ours = self._lines[interest], self._sketches.get(interest, _empty())
            if (line.n, line.set_hash) == (ours.n, ours.set_hash):
                equal.append(interest)
            elif ours.n == 0:
                output.frames.append(self._symbols(interest, 0, 0))
            elif ours.n <= _LIST_SMALLER:
                self._lists.append(interest)
                output.events.append(IdsNeeded(interest))
            else:
                output.frames.append(self._symbols(interest, 0, FIRST_FLIGHT))
        if equal or not self._lines:
            named = () if len(equal) == len(self._lines) else tuple(equal)
            payload = messages.encode_equal(self.number, named)
            output.frames.insert(0, (FrameType.EQUAL, payload))
        for interest in sorted(self._sketches.keys() - self._lines.keys()):
            output.events.append(StreamWanted(interest))
        return output

    def _symbols(self, interest: Interest, first: int, count: int) -> tuple[FrameType, bytes]:
        ours = self._sketches.get(interest, _empty())
        symbols = Symbols(
            self.number,
            interest,
            ours.n,
            ours.set_hash,
            first,
            count,
            encode_symbols(ours, first, count),
        )
        return FrameType.SYMBOLS, messages.encode_symbols_frame(symbols)

    def on_more_untrusted(self, more: More) -> Output:
        """Give the next flight, or get the list ready."""
        output = Output()
        if more.interest not in self._lines or more.interest not in self._sketches:
            raise RemoteProtocolError("more was asked of an interest that was not compared")
        if more.count == 0:
            if more.interest in self._lists:
                raise RemoteProtocolError("a list was asked for twice")
            self._lists.append(more.interest)
            output.events.append(IdsNeeded(more.interest))
            return output
        size = len(self._sketches[more.interest].sums)
        if more.first + more.count > min(SKETCH_SYMBOLS, size):
            raise LimitExceededError("symbols", size, more.first + more.count)
        output.frames.append(self._symbols(more.interest, more.first, more.count))
        return output

    def supply_ids(self, interest: Interest, ids: array[int]) -> Iterator[tuple[FrameType, bytes]]:
        """Yield the pages of the list that was asked for; nothing if none was."""
        if interest not in self._lists:
            return
        self._lists.remove(interest)
        for start in range(0, max(len(ids), 1), IDS_PER_FRAME_MAX):
            end = start + IDS_PER_FRAME_MAX
            page = IdList(self.number, interest, end >= len(ids), ids[start:end])
            yield FrameType.LIST, messages.encode_list(page)
