"""One session between two nodes: bytes and times in, bytes and events out.

Owns the order of things and the bounds; knows nothing of links, stores, badges or the content of
bundles. A fault of the peer ends the session with its close code; only a wrong call by our own
shell raises, LocalProtocolError. After the end every call is ignored. Source: wire-format 6.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Sequence

from protocol.errors import (
    CloseCode,
    LimitExceededError,
    LocalProtocolError,
    MalformedError,
    RemoteProtocolError,
)
from protocol.ids import NodeId, ShortId
from protocol.limits import (
    BUNDLE_BYTES_MAX,
    CONTROL_BYTES_MAX,
    IDS_PER_FRAME_MAX,
    KNOWN_AT_PEER_MAX,
    SESSION_DOCUMENTS_MAX,
)
from protocol.reconcile.interest import Interest
from protocol.reports import Reception, Standing
from protocol.session import messages
from protocol.session.egress import Egress, is_reconciliation
from protocol.session.events import (
    BundleReceived,
    BundlesAcked,
    DocumentReceived,
    DocumentsReceived,
    DocumentsWanted,
    Event,
    HelloReceived,
    Item,
    LocalHello,
    Needed,
    SessionClosed,
    SessionRole,
    Wanted,
)
from protocol.session.exchange import Exchange
from protocol.session.figures import SessionFigures
from protocol.session.frames import FrameReader, FrameType
from protocol.session.patience import Due, Patience
from protocol.session.reconciliation import Reconciliation
from protocol.session.rounds import Output, Sketches
from protocol.session.states import TABLE, Answer, Input, State
from protocol.session.transfer import Inflow

__all__ = ["SyncSession"]

_READING = (State.OPENING, State.DOCUMENTS, State.LIVE)
"""States in which frames are taken; in the others they wait for the shell."""
_OVER = (State.PARTING, State.CLOSED)
"""States in which the peer gets and gives nothing more, but documents that wait."""
_SIGN_BYTES = 8
"""Payload of PING and PONG."""
_LIVE, _BUNDLE = State.LIVE, FrameType.BUNDLE  # Looking these up costs 0.15 µs per bundle.
assert TABLE[_LIVE, _BUNDLE] is _LIVE


class SyncSession(SessionFigures):
    """The session of one link, seen from one end."""

    def __init__(self, role: SessionRole, hello: LocalHello, now_ms: int) -> None:
        self._is_initiator = role is SessionRole.INITIATOR
        self._hello = hello
        self._state = State.OPENING
        self._now_ms = now_ms
        self._reader = FrameReader()
        self._events: deque[Event] = deque()
        self._egress = Egress()
        self._outflow = self._egress.outflow
        self._inflow = Inflow()
        self._patience = Patience(now_ms, is_initiator=self._is_initiator)
        self._exchange = Exchange(hello.documents)
        self._rounds = Reconciliation(is_initiator=self._is_initiator)
        self._pings = 0
        self._news: list[bytes] = []
        self._handlers = {
            FrameType.HELLO: self._on_hello_untrusted,
            FrameType.DOCUMENT_DIGESTS: self._on_digests_untrusted,
            FrameType.DOCUMENT_VERSIONS: self._on_versions_untrusted,
            FrameType.DOCUMENT: self._on_document_untrusted,
            FrameType.DOCUMENTS_END: self._on_documents_end_untrusted,
            FrameType.WANT: self._on_want_untrusted,
            FrameType.OFFER: self._on_offer_untrusted,
            FrameType.BUNDLE: self._on_bundle_untrusted,
            FrameType.ACK: self._on_ack_untrusted,
            FrameType.PING: self._on_ping_untrusted,
            FrameType.PONG: self._on_pong_untrusted,
            FrameType.BYE: self._on_bye_untrusted,
        }
        if self._is_initiator:
            self._send(FrameType.HELLO, messages.encode_hello(hello))

    # --- what the shell may ask --------------------------------------------------------------

    @property
    def wants_read(self) -> bool:
        """False while received bytes would only wait: for the shell's answer, or its disk."""
        return self._state in _READING and self._inflow.has_room

    @property
    def has_ended(self) -> bool:
        """True once only a BYE is still to be sent, if it is ours to say."""
        return self._state is State.CLOSED

    def next_event(self) -> Event | None:
        """Return the next thing to act upon, or None."""
        return self._events.popleft() if self._events else None

    def next_deadline_ms(self) -> int | None:
        """Return when `handle_timeout` must be called, on the clock of `now_ms`, or None."""
        if self._state is State.LIVE and not self._inflow.has_room:
            return None
        return self._patience.next_ms(self._state, is_owed=self._is_owed)

    @property
    def _is_owed(self) -> bool:
        """True while the peer has an answer to give and we have nothing more to say."""
        waits_for_round = self._rounds.is_owed and not self._egress.has_waiting
        return waits_for_round or self._outflow.owes_ack

    # --- bytes and time -----------------------------------------------------------------------

    def receive_data(self, data: bytes, now_ms: int) -> None:
        """Take bytes that the link delivered; look at `next_event` after it.

        Cost: about 3 µs per bundle.
        """
        if self._state is State.CLOSED:
            return
        self._now_ms = now_ms
        self.bytes_received += len(data)
        if self._state is State.PARTING:
            return
        self._reader.feed(data)
        self._patience.heard(now_ms, self._reader.buffered_bytes)
        self._pump()

    def receive_eof(self) -> None:
        """The link ended without a BYE."""
        if self._state is not State.CLOSED:
            self._end(Answer.END, CloseCode.GOING_AWAY, "the link ended", by_peer=True)

    def data_to_send(self, max_bytes: int, now_ms: int | None = None) -> bytes:
        """Return the bytes that go on the link next; nothing if none may go now.

        Whole frames, at most `max_bytes` in all unless the first alone is larger. `now_ms` is the
        time of the call; without it the time that was told last. Cost: about 1 µs per bundle.
        """
        now_ms = self._now_ms if now_ms is None else now_ms
        data = self._egress.take(max_bytes, now_ms)
        if not data and self._state is State.PARTING:
            self._end(Answer.CLOSE, CloseCode.REFUSED, "the peer may have documents only")
        if data:
            self.bytes_sent += len(data)
            if self._egress.is_fruitful:
                self._patience.progressed(now_ms)
        return data

    def handle_timeout(self, now_ms: int) -> None:
        """Do what the deadline asks for: a PING, or the end. May be called early."""
        self._now_ms = now_ms
        if self.next_deadline_ms() is None:
            return
        due = self._patience.due(self._state, now_ms, is_owed=self._is_owed)
        if due is Due.PING:
            self._pings += 1
            self._send(FrameType.PING, self._pings.to_bytes(_SIGN_BYTES, "big"))
        elif due is Due.GIVE_UP:
            self._end(Answer.TIMEOUT, CloseCode.TIMEOUT, "the peer was silent for too long")

    # --- answers of the shell -----------------------------------------------------------------

    def admit(self, peer: NodeId) -> None:
        """The badge is good and is that of `peer`."""
        if self._state is State.CLOSED:
            return
        self._state = self._after(Answer.ADMIT)
        self.peer = peer
        if not self._is_initiator:
            self._send(FrameType.HELLO, messages.encode_hello(self._hello))
        if self._exchange.are_equal:
            self._give_documents(())
        else:
            self._send(FrameType.DOCUMENT_DIGESTS, self._exchange.digests())
        self._patience.progressed(self._now_ms)
        self._pump()

    def refuse(self, code: CloseCode) -> None:
        """The badge is not good, or the peer is not wanted."""
        if self._state is not State.CLOSED:
            self._end(Answer.REFUSE, code, "the peer is not admitted")

    def supply_documents(self, raws: Sequence[bytes]) -> None:
        """Send the documents that DocumentsWanted asked for, as far as they are held."""
        if self._state is State.CLOSED:
            return
        if not self._exchange.is_ours_asked:
            raise LocalProtocolError("no documents were asked for")
        self._exchange.is_ours_asked = False
        self._give_documents(raws)
        self._pump()

    def _give_documents(self, raws: Sequence[bytes]) -> None:
        for raw in raws:
            self._egress.put_document(raw)
        self._send(FrameType.DOCUMENTS_END, b"")
        self._exchange.is_ours_given = True
        self._maybe_apply()

    def documents_applied(self, standing: Standing) -> None:
        """The peer's documents are checked and saved, and it stands so with us now.

        Reconciliation may begin with a peer in full standing; any other gets no further.
        """
        if self._state in _OVER:
            return
        if standing is not Standing.FULL:
            self._part()
            return
        self._state = self._after(Answer.APPLIED)
        self._patience.excuse()
        self._give_news()
        # After a change of rosters, what was refused before may be welcome now.
        self._maybe_begin_round()
        self._pump()

    def restrict(self) -> None:
        """The peer may have documents only: send those that wait, then part with code *refused*.

        Before the session is live nothing changes: `documents_applied` judges anew.
        """
        if self._state in (State.LIVE, State.REFRESHING):
            self._part()

    def _part(self) -> None:
        self._give_news()
        self._state = self._after(Answer.RESTRICT)
        self._rounds.stop()
        self._egress.keep_documents()
        self._reader.clear()
        self._patience.progressed(self._now_ms)

    def _give_news(self) -> None:
        news, self._news = self._news, []
        for raw in news:
            self._egress.put_document(raw)

    def tell_documents(self, raws: Sequence[bytes]) -> None:
        """Send documents that came into force here while the session runs.

        Before the session is live they wait for that; the peer saves them before it reads on.
        """
        if self._state is State.CLOSED:
            return
        if self._state not in (State.LIVE, State.REFRESHING, State.PARTING):
            self._news += raws[: SESSION_DOCUMENTS_MAX - len(self._news)]
            return
        for raw in raws:
            self._egress.put_document(raw)
        self._maybe_begin_round()

    def _maybe_begin_round(self) -> None:
        if self._state is State.LIVE and self._is_initiator:
            self._put_out(self._rounds.begin_or_repeat())

    def start_round(self) -> None:
        """Reconcile again. Raises: LocalProtocolError at the responder, or if a round runs."""
        if self._state in _OVER:
            return
        if self._state not in (State.LIVE, State.REFRESHING) or not self._rounds.may_begin:
            raise LocalProtocolError("only the initiator starts a round, one at a time")
        # A document that is being saved is followed by a round anyway.
        self._maybe_begin_round()

    def reconcile(self, sketches: Sketches) -> None:
        """Go on with the round that ReconcileStarting announced, from this snapshot."""
        if self._state not in _OVER:
            self._patience.progressed(self._now_ms)
            self._put_out(self._rounds.start(sketches))

    def supply_ids(self, interest: Interest, ids: array[int]) -> None:
        """Give every id of an interest that IdsNeeded named; ignored if none is asked now."""
        if self._state not in _OVER:
            self._put_out(self._rounds.supply_ids(interest, ids))

    def offer(self, items: Iterable[Item], *, ask_first: bool = False) -> None:
        """Queue what the peer lacks, in order within each class; ask first about large bulk."""
        if self._state not in _OVER:
            self._egress.offer(items, ask_first=ask_first)

    def want(self, ids: Sequence[ShortId]) -> None:
        """Ask the peer for bundles that it holds."""
        if self._state not in _OVER and not self._egress.put_wants(ids):
            # A peer that offers without end and reads nothing.
            self.close(CloseCode.LIMIT_EXCEEDED)

    def announce(self, items: Iterable[Item]) -> None:
        """Push new small bundles, offer large ones by id; those the peer holds are left out."""
        if self._state in _OVER:
            return
        large = self._outflow.announce(items)
        for start in range(0, len(large), IDS_PER_FRAME_MAX):
            payload = messages.encode_ids(large[start : start + IDS_PER_FRAME_MAX])
            self._send(FrameType.OFFER, payload)
        if self._outflow.waiting > KNOWN_AT_PEER_MAX:
            # A peer that takes nothing: the next contact finds again what it lacks.
            self.close(CloseCode.LIMIT_EXCEEDED)

    def next_to_supply(self, max_bytes: int) -> list[ShortId]:
        """Return ids of about `max_bytes` of containers to `supply` now, most urgent first."""
        return self._outflow.next_to_supply(max_bytes) if self._state is State.LIVE else []

    def supply(self, short_id: ShortId, raw: bytes | None, hops: int) -> None:
        """Give a container that `next_to_supply` named; None if it is no longer held."""
        if self._state not in _OVER:
            self._outflow.supply(short_id, raw, hops)

    def acknowledge(self, upto: int, refusals: Sequence[tuple[int, Reception]]) -> None:
        """Tell the peer that everything below `upto` is on disk, or refused as named."""
        if self._state in _OVER:
            return
        try:
            ack = self._inflow.acknowledge(upto, refusals)
        except ValueError as error:
            raise LocalProtocolError(str(error)) from error
        self._send(FrameType.ACK, messages.encode_ack(ack))
        self._pump()

    def note_received(self, *short_ids: ShortId) -> None:
        """We hold these bundles from the peer: they are never sent back."""
        self._outflow.note_known(*short_ids)

    def close(self, code: CloseCode) -> None:
        """End the session; only the BYE is still to be sent."""
        if self._state is not State.CLOSED:
            self._end(Answer.CLOSE, code, "closed here")

    # --- inside -------------------------------------------------------------------------------

    def _after(self, item: Input) -> State:
        state = TABLE.get((self._state, item))
        if state is not None:
            return state
        if isinstance(item, FrameType):
            raise RemoteProtocolError(f"{item.name} is unexpected while {self._state.value}")
        raise LocalProtocolError(f"{item.value!r} is no answer while {self._state.value}")

    def _send(self, frame_type: FrameType, payload: bytes) -> None:
        if self._state in _OVER:
            return
        self._egress.put(frame_type, payload)
        waiting_bytes = self._egress.control_bytes
        if waiting_bytes > CONTROL_BYTES_MAX:
            self._fail(LimitExceededError("control bytes", CONTROL_BYTES_MAX, waiting_bytes))

    def _end(self, item: Input, code: CloseCode, reason: str, *, by_peer: bool = False) -> None:
        self._state = self._after(item)
        bye = [] if by_peer else [(FrameType.BYE, messages.encode_bye(code))]
        self._rounds.stop()
        self._egress.close(bye)
        self._reader.clear()
        self._events.append(SessionClosed(code, by_peer, reason))

    def _fail(self, error: RemoteProtocolError) -> None:
        self._end(Answer.CLOSE, CloseCode(error.close_code), str(error))

    def _pump(self) -> None:
        """Act upon frames for as long as the state and our own disk let."""
        reader, inflow = self._reader, self._inflow
        try:
            while self._state in _READING:
                if not inflow.has_room:
                    self._patience.excuse()
                    return
                frame = reader.next_untrusted()
                if frame is None:
                    return
                frame_type, payload = frame
                if frame_type is _BUNDLE and self._state is _LIVE:
                    # Bundles come by the thousand: the table says the same, and is slower.
                    self._on_bundle_untrusted(payload)
                else:
                    self._on_frame_untrusted(frame_type, payload)
        except RemoteProtocolError as error:
            self._fail(error)

    def _on_frame_untrusted(self, frame_type: FrameType, payload: bytes) -> None:
        state = self._after(frame_type)
        if frame_type not in (FrameType.PING, FrameType.PONG):
            self._patience.progressed(self._now_ms)
        if state is not State.CLOSED:
            self._state = state
        if is_reconciliation(frame_type):
            self._reconcile_bytes_received += len(payload) + 3
            self._put_out(self._rounds.on_frame_untrusted(frame_type, payload))
        else:
            self._handlers[frame_type](payload)

    def _put_out(self, output: Output) -> None:
        for frame_type, payload in output.frames:
            self._send(frame_type, payload)
        for traffic_class, pages in output.lists:
            self._egress.put_list(traffic_class, pages)
        if self._state not in _OVER:
            self._events.extend(output.events)

    def _maybe_apply(self) -> None:
        if self._exchange.is_done and self._state is State.DOCUMENTS:
            self._state = self._after(Answer.ALL_DOCUMENTS)
            self._events.append(DocumentsReceived())

    # --- frames of the peer -------------------------------------------------------------------

    def _on_hello_untrusted(self, payload: bytes) -> None:
        hello = messages.decode_hello_untrusted(payload)
        self._exchange.compare(hello.documents_digest)
        self._events.append(
            HelloReceived(hello.badge_chain, hello.binding_signature, hello.documents_digest)
        )

    def _on_digests_untrusted(self, payload: bytes) -> None:
        versions = self._exchange.differing_untrusted(messages.decode_digests_untrusted(payload))
        self._send(FrameType.DOCUMENT_VERSIONS, messages.encode_versions(versions))

    def _on_versions_untrusted(self, payload: bytes) -> None:
        keys = self._exchange.newer_untrusted(messages.decode_versions_untrusted(payload))
        if keys:
            self._events.append(DocumentsWanted(keys))
        else:
            self._give_documents(())

    def _on_document_untrusted(self, payload: bytes) -> None:
        if self._state is State.REFRESHING:
            self._exchange.on_news_untrusted()
            self._events.append(DocumentReceived(payload))
            self._events.append(DocumentsReceived())
            return
        self._exchange.on_document_untrusted()
        self._events.append(DocumentReceived(payload))

    def _on_documents_end_untrusted(self, payload: bytes) -> None:
        _check_size(payload, 0, "the end of documents")
        self._exchange.on_end_untrusted()
        self._maybe_apply()

    def _on_want_untrusted(self, payload: bytes) -> None:
        ids = messages.decode_ids_untrusted(payload)
        self._outflow.note_lacking(ids)
        self._events.append(Wanted(tuple(ids)))

    def _on_offer_untrusted(self, payload: bytes) -> None:
        self._events.append(Needed(tuple(messages.decode_ids_untrusted(payload))))

    def _on_bundle_untrusted(self, payload: bytes) -> None:
        size_bytes = len(payload) - 1
        if size_bytes < 1:
            raise MalformedError("a bundle is empty")
        if size_bytes > BUNDLE_BYTES_MAX:
            raise LimitExceededError("bundle bytes", BUNDLE_BYTES_MAX, size_bytes)
        index = self._inflow.take(size_bytes)
        self._events.append(BundleReceived(index, payload[0], payload[1:]))

    def _on_ack_untrusted(self, payload: bytes) -> None:
        ack = messages.decode_ack_untrusted(payload)
        outcomes = self._outflow.on_ack_untrusted(ack, self._now_ms)
        if outcomes:
            self._events.append(BundlesAcked(outcomes))

    def _on_ping_untrusted(self, payload: bytes) -> None:
        _check_size(payload, _SIGN_BYTES, "a ping")
        self._send(FrameType.PONG, payload)

    def _on_pong_untrusted(self, payload: bytes) -> None:
        _check_size(payload, _SIGN_BYTES, "an answer to a ping")
        if not 1 <= int.from_bytes(payload, "big") <= self._pings:
            raise RemoteProtocolError("an answer to a ping that was not sent")

    def _on_bye_untrusted(self, payload: bytes) -> None:
        number = messages.decode_bye_untrusted(payload)
        try:
            code, reason = CloseCode(number), "the peer said goodbye"
        except ValueError:
            code, reason = CloseCode.GOING_AWAY, f"the peer said goodbye with code {number}"
        self._end(FrameType.BYE, code, reason, by_peer=True)


def _check_size(payload: bytes, size_bytes: int, what: str) -> None:
    if len(payload) != size_bytes:
        raise MalformedError(f"{what} has {len(payload)} bytes instead of {size_bytes}")
