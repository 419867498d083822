"""Reconciliation rounds of one session: who lacks what, interest by interest.

The initiator asks and decodes; the responder answers from its snapshot. Both give frames and
events back to the session, which owns order and bounds. Source: wire-format 6.6.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from protocol.errors import LimitExceededError, RemoteProtocolError
from protocol.ids import ShortId
from protocol.limits import IDS_PER_FRAME_MAX, IDS_PER_LIST_MAX, TrafficClass
from protocol.reconcile.decoder import Decoder
from protocol.reconcile.flights import first_count
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

Sketches = Mapping[Interest, SketchSnapshot]


@dataclass(slots=True)
class Output:
    """What a step of a round gives back to the session."""

    frames: list[tuple[FrameType, bytes]] = field(default_factory=list)
    """To send, in order."""
    events: list[Event] = field(default_factory=list)
    """To tell the shell, in order."""
    lists: list[tuple[TrafficClass, Iterator[bytes]]] = field(default_factory=list)
    """Payloads of LIST frames, made as there is room for them, with their order of service."""


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
    return SketchSnapshot(0, 0, (), ())


class InitiatorRound:
    """The asking side."""

    def __init__(self, number: int, sketches: Sketches) -> None:
        self.number = number
        self._sketches = {interest: sketch for interest, sketch in sketches.items() if sketch.n}
        self._open: set[Interest] = set(self._sketches)
        self._decoders: dict[Interest, Decoder] = {}
        self._asked: dict[Interest, int] = {}
        self._listings: dict[Interest, _Listing] = {}
        self._flights: Counter[Interest] = Counter()
        self.is_finished = False

    @property
    def flights(self) -> int:
        """Round trips: those of the interest that took most."""
        return 1 + max(self._flights.values(), default=0)

    @property
    def waits_for_shell(self) -> bool:
        """True if a list of the peer is here and ours is not."""
        return any(each.is_complete for each in self._listings.values())

    def start(self) -> Output:
        """Return the SUMMARY."""
        lines = tuple(
            SummaryLine(interest, sketch.n, sketch.set_hash)
            for interest, sketch in sorted(self._sketches.items())
        )
        payload = messages.encode_summary(Summary(self.number, lines))
        return Output([(FrameType.SUMMARY, payload)])

    def on_equal_untrusted(self, interests: tuple[Interest, ...]) -> Output:
        """These sets are equal; an empty tuple means all of them."""
        for interest in interests or tuple(self._open):
            if interest in self._decoders or interest in self._listings:
                raise RemoteProtocolError("an interest that differs is called equal")
            self._close(interest)
        return self._ended(Output())

    def on_symbols_untrusted(self, symbols: Symbols) -> Output:
        """Decode a flight, and ask for more or for the list where it was not enough."""
        interest = symbols.interest
        output = Output()
        decoder = self._decoders.get(interest)
        if interest not in self._open or interest in self._listings:
            raise RemoteProtocolError("symbols that were not asked for")
        if symbols.n == 0 and decoder is None:
            self._close(interest)
            output.events.append(StreamWanted(interest))
            return self._ended(output)
        local = self._sketches[interest]
        if decoder is None:
            decoder = Decoder(local, symbols.n, symbols.set_hash)
            self._decoders[interest] = decoder
        _check_flight(symbols, decoder, local, self._asked.get(interest))
        decoder.feed(decode_symbols_untrusted(symbols.columns, symbols.count, symbols.first))
        if decoder.is_done:
            self._close(interest)
            output.events += _difference(interest, decoder.have, decoder.need)
            return self._ended(output)
        self._ask(interest, decoder, output)
        return output

    def _ask(self, interest: Interest, decoder: Decoder, output: Output) -> None:
        """Ask for the symbols that are missing, or for the list, and get our own half ready."""
        count = decoder.next_count()
        if count == 0:
            self._listings[interest] = _Listing()
            output.events.append(IdsNeeded(interest))
        self._asked[interest] = count
        self._flights[interest] += 1
        more = More(self.number, interest, decoder.symbols if count else 0, count)
        output.frames.append((FrameType.MORE, messages.encode_more(more)))

    def on_list_untrusted(self, page: IdList) -> Output:
        """Take in a page of the responder's ids."""
        interest, output = page.interest, Output()
        listing = self._listings.get(interest)
        if interest not in self._open or (listing is None and interest in self._decoders):
            raise RemoteProtocolError("a list that was not asked for")
        if listing is None:
            listing = self._listings[interest] = _Listing()
            output.events.append(IdsNeeded(interest))
        if listing.is_complete or not (page.ids or page.is_last):
            raise RemoteProtocolError("a list goes on after its end, or without ids")
        listing.theirs.extend(page.ids)
        listing.is_complete = page.is_last
        # Of all interests together: a peer may leave the list of each unfinished.
        listed = sum(len(each.theirs) for each in self._listings.values())
        if listed > IDS_PER_LIST_MAX:
            raise LimitExceededError("listed ids", IDS_PER_LIST_MAX, listed)
        return self._compared(interest, listing, output)

    def supply_ids(self, interest: Interest, ids: Iterable[ShortId]) -> Output:
        """Take our own ids of an interest, as asked for by IdsNeeded."""
        listing = self._listings.get(interest)
        if listing is None:
            return Output()
        listing.ours = frozenset(ids)
        return self._compared(interest, listing, Output())

    def _compared(self, interest: Interest, listing: _Listing, output: Output) -> Output:
        if not listing.is_complete or listing.ours is None:
            return output
        # In the peer's order: to sort two million ids would hold everybody up for a second.
        theirs = dict.fromkeys(listing.theirs)
        have = sorted(listing.ours - theirs.keys())
        need = [short_id for short_id in theirs if short_id not in listing.ours]
        self._close(interest)
        output.events += _difference(interest, have, need)
        return self._ended(output)

    def _close(self, interest: Interest) -> None:
        if interest not in self._open:
            raise RemoteProtocolError("an answer for an interest that was not asked for")
        self._open.discard(interest)
        self._decoders.pop(interest, None)
        self._listings.pop(interest, None)

    def _ended(self, output: Output) -> Output:
        if not self._open:
            self.is_finished = True
            output.frames.append((FrameType.ROUND_END, messages.encode_round(self.number)))
            output.events.append(RoundFinished(self.number))
        return output


def _check_flight(
    symbols: Symbols, decoder: Decoder, local: SketchSnapshot, asked: int | None
) -> None:
    """Refuse symbols that are not the next ones, or that are of another set than the first."""
    if symbols.first != decoder.symbols or symbols.count != (asked or symbols.count or 1):
        raise RemoteProtocolError("symbols out of order, or not as many as asked for")
    if (symbols.n, symbols.set_hash) != (decoder.remote_n, decoder.remote_set_hash):
        raise RemoteProtocolError("symbols of another set")
    if symbols.first + symbols.count > local.symbols:
        raise LimitExceededError("symbols", local.symbols, symbols.first + symbols.count)


def _difference(
    interest: Interest, have: Iterable[ShortId], need: Iterable[ShortId]
) -> Iterator[Event]:
    lacking, wanting = tuple(have), tuple(need)
    if lacking:
        yield PeerLacks(interest, lacking)
    if wanting:
        yield Needed(wanting)


class ResponderRound:
    """The answering side; serves every flight from one snapshot, each symbol once."""

    def __init__(self, summary: Summary, sketches: Sketches) -> None:
        self.number = summary.round
        self._lines = {line.interest: line for line in summary.lines}
        self._sketches = {interest: sketch for interest, sketch in sketches.items() if sketch.n}
        self._served: dict[Interest, int] = {}
        self._listing: set[Interest] = set()
        self._flights: Counter[Interest] = Counter()

    @property
    def flights(self) -> int:
        """Round trips: those of the interest that took most."""
        return 1 + max(self._flights.values(), default=0)

    @property
    def waits_for_shell(self) -> bool:
        """True if the peer waits for a list of ours."""
        return bool(self._listing)

    def start(self) -> Output:
        """Answer the SUMMARY: equal, list, first symbols, or stream."""
        output, equal = Output(), []
        for interest in sorted(self._lines):
            line, ours = self._lines[interest], self._sketches.get(interest, _empty())
            if (line.n, line.set_hash) == (ours.n, ours.set_hash):
                equal.append(interest)
            elif ours.n == 0:
                output.frames.append(self._symbols(interest, 0, 0))
            elif not (count := first_count(ours.n, line.n, ours.symbols)):
                self._listing.add(interest)
                output.events.append(IdsNeeded(interest))
            else:
                self._served[interest] = count
                output.frames.append(self._symbols(interest, 0, count))
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
        """Give the next flight, or get the list ready.

        Each symbol and each list is given once a round: a few bytes never buy many again.
        """
        interest, output = more.interest, Output()
        served = self._served.get(interest)
        if served is None:
            raise RemoteProtocolError("more was asked of an interest that has no more")
        self._flights[interest] += 1
        if more.count == 0:
            del self._served[interest]
            self._listing.add(interest)
            output.events.append(IdsNeeded(interest))
            return output
        if more.first != served:
            raise RemoteProtocolError("symbols were asked for out of order")
        end, size = served + more.count, self._sketches[interest].symbols
        if end > size:
            raise LimitExceededError("symbols", size, end)
        self._served[interest] = end
        output.frames.append(self._symbols(interest, served, more.count))
        return output

    def supply_ids(self, interest: Interest, ids: array[int]) -> Output:
        """Give the list that was asked for; nothing if none was."""
        if interest not in self._listing:
            return Output()
        self._listing.remove(interest)
        return Output(lists=[(interest.traffic_class, self._pages(interest, ids))])

    def _pages(self, interest: Interest, ids: array[int]) -> Iterator[bytes]:
        for start in range(0, max(len(ids), 1), IDS_PER_FRAME_MAX):
            end = start + IDS_PER_FRAME_MAX
            page = IdList(self.number, interest, end >= len(ids), ids[start:end])
            yield messages.encode_list(page)
