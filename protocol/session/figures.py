"""What a session counts of itself for its shell: bytes, bundles, flights; whether it is idle."""

from __future__ import annotations

from protocol.session.egress import Egress
from protocol.session.reconciliation import Reconciliation
from protocol.session.states import State
from protocol.session.transfer import Inflow, Outflow

__all__ = ["SessionFigures"]


class SessionFigures:
    """The figures of one session; `SyncSession` moves them."""

    _state: State
    _rounds: Reconciliation
    _outflow: Outflow
    _inflow: Inflow
    _egress: Egress
    _reconcile_bytes_received = 0
    bytes_sent = 0
    """Given to the link."""
    bytes_received = 0
    """Taken from the link."""

    @property
    def is_idle(self) -> bool:
        """True if no round runs and nothing waits to be sent or acknowledged, either way."""
        return (
            self._rounds.is_idle
            and self._outflow.is_idle
            and not self._inflow.pending
            and not self._egress.has_waiting
        )

    @property
    def may_send(self) -> bool:
        """False if `data_to_send` would change nothing: frames, bundles and an end are told here.

        True may come too often, where what waits is held back or is under way already.
        """
        is_over = self._state is State.PARTING or self._state is State.CLOSED
        return is_over or self._egress.has_waiting or not self._outflow.is_idle

    @property
    def bundles_waiting(self) -> int:
        """Bundles offered to the session and not yet on the wire."""
        return self._outflow.waiting + self._egress.offers_waiting

    @property
    def bytes_unsettled(self) -> int:
        """Of these and of those that are under way. Cost: one step per bundle that waits."""
        return self._outflow.unsettled_bytes

    @property
    def bytes_settled(self) -> int:
        """Of bundles that the peer has taken or refused."""
        return self._outflow.settled_bytes

    @property
    def bundles_settled(self) -> int:
        """Bundles sent that the peer has taken or refused."""
        return self._outflow.settled

    @property
    def bundles_sent(self) -> int:
        """BUNDLE frames sent."""
        return self._outflow.sent

    @property
    def bundles_received(self) -> int:
        """BUNDLE frames received."""
        return self._inflow.received

    @property
    def reconcile_bytes(self) -> int:
        """Bytes of frames that found the difference, both ways, heads counted."""
        return self._egress.reconcile_bytes + self._reconcile_bytes_received

    @property
    def round_trips(self) -> int:
        """Flights of reconciliation, all rounds together."""
        return self._rounds.round_trips
