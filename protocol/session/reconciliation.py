"""The rounds of one session, one after the other: which runs, and whose frames belong to it.

What a round does is in `rounds`; here is only who may begin one and when. Source: wire-format 6.6.
"""

from __future__ import annotations

from array import array

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.ids import ShortId
from protocol.limits import INTERESTS_MAX
from protocol.reconcile.interest import Interest
from protocol.session import messages
from protocol.session.events import ReconcileStarting, RoundFinished
from protocol.session.frames import FrameType
from protocol.session.messages import Summary
from protocol.session.rounds import InitiatorRound, Output, ResponderRound, Sketches

__all__ = ["Reconciliation"]


class Reconciliation:
    """All rounds of one session."""

    def __init__(self, *, is_initiator: bool) -> None:
        self._is_initiator = is_initiator
        self._round: InitiatorRound | ResponderRound | None = None
        self._summary: Summary | None = None
        self._number = 0
        self._flights = 0
        self._is_starting = False
        self._is_repeated = False
        self._handlers = {
            FrameType.SUMMARY: self._on_summary_untrusted,
            FrameType.SYMBOLS: self._on_symbols_untrusted,
            FrameType.MORE: self._on_more_untrusted,
            FrameType.LIST: self._on_list_untrusted,
            FrameType.EQUAL: self._on_equal_untrusted,
            FrameType.ROUND_END: self._on_round_end_untrusted,
        }

    @property
    def is_running(self) -> bool:
        """True from our first frame of a round to its end."""
        return self._round is not None

    @property
    def is_owed(self) -> bool:
        """True if the peer must go on with the round: it does not wait for our own shell."""
        return self._round is not None and not self._round.waits_for_shell

    @property
    def may_begin(self) -> bool:
        """True if this end may begin a round now."""
        return self._is_initiator and self._round is None and not self._is_starting

    @property
    def is_idle(self) -> bool:
        """True if no round runs or is about to."""
        return self._round is None and not self._is_starting

    @property
    def round_trips(self) -> int:
        """Flights, all rounds together."""
        return self._flights + (self._round.flights if self._round is not None else 0)

    def begin(self) -> Output:
        """Announce the next round to the shell, which answers with its sketches."""
        self._number += 1
        self._is_starting = True
        return Output(events=[ReconcileStarting(self._number)])

    def begin_or_repeat(self) -> Output:
        """Begin a round now, or as soon as the present one, whose snapshot is older, has ended."""
        if self.is_idle:
            return self.begin()
        self._is_repeated = self.is_running
        return Output()

    def start(self, sketches: Sketches) -> Output:
        """Start the round that was announced. Raises: LocalProtocolError if none was."""
        if not self._is_starting:
            raise LocalProtocolError("no round is starting")
        if len(sketches) > INTERESTS_MAX:
            raise LocalProtocolError("more interests than a session reconciles")
        self._is_starting = False
        if self._summary is None:
            self._round = InitiatorRound(self._number, sketches)
        else:
            self._round = ResponderRound(self._summary, sketches)
            self._summary = None
        return self._round.start()

    def supply_ids(self, interest: Interest, ids: array[ShortId]) -> Output:
        """Take all ids of an interest; nothing if nobody asks for them."""
        if self._round is None:
            return Output()
        output = self._round.supply_ids(interest, ids)
        return self._settled(output)

    def stop(self) -> None:
        """The session is over."""
        self._flights, self._round = self.round_trips, None
        self._is_starting = self._is_repeated = False

    def on_frame_untrusted(self, frame_type: FrameType, payload: bytes) -> Output:
        """Take a frame of reconciliation. Raises: RemoteProtocolError and its kinds."""
        return self._settled(self._handlers[frame_type](payload))

    def _settled(self, output: Output) -> Output:
        if isinstance(self._round, InitiatorRound) and self._round.is_finished:
            self._flights, self._round = self.round_trips, None
            if self._is_repeated:
                self._is_repeated = False
                output.events += self.begin().events
        return output

    # --- frames of the peer -------------------------------------------------------------------

    def _on_summary_untrusted(self, payload: bytes) -> Output:
        summary = messages.decode_summary_untrusted(payload)
        if self._is_initiator or not self.is_idle:
            raise RemoteProtocolError("a round was started out of turn")
        if summary.round != self._number + 1:
            raise RemoteProtocolError("rounds are not counted one by one")
        self._summary = summary
        return self.begin()

    def _asking(self, number: int) -> InitiatorRound:
        if not isinstance(self._round, InitiatorRound) or self._round.number != number:
            raise RemoteProtocolError("an answer to a round that does not run here")
        return self._round

    def _answering(self, number: int) -> ResponderRound:
        if not isinstance(self._round, ResponderRound) or self._round.number != number:
            raise RemoteProtocolError("a question of a round that does not run here")
        return self._round

    def _on_symbols_untrusted(self, payload: bytes) -> Output:
        symbols = messages.decode_symbols_frame_untrusted(payload)
        return self._asking(symbols.round).on_symbols_untrusted(symbols)

    def _on_list_untrusted(self, payload: bytes) -> Output:
        page = messages.decode_list_untrusted(payload)
        return self._asking(page.round).on_list_untrusted(page)

    def _on_equal_untrusted(self, payload: bytes) -> Output:
        number, interests = messages.decode_equal_untrusted(payload)
        return self._asking(number).on_equal_untrusted(interests)

    def _on_more_untrusted(self, payload: bytes) -> Output:
        more = messages.decode_more_untrusted(payload)
        return self._answering(more.round).on_more_untrusted(more)

    def _on_round_end_untrusted(self, payload: bytes) -> Output:
        number = messages.decode_round_untrusted(payload)
        self._flights += self._answering(number).flights
        self._round = None
        return Output(events=[RoundFinished(number)])
