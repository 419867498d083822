"""The states of a session as one table; the code only looks it up, the docs are made from it.

Inputs are frames that arrive and the shell's answers (in lower case). A pair that is missing is
an unexpected frame and ends the session. Source: wire-format 6.4-6.11.
"""

from __future__ import annotations

from enum import Enum

from protocol.session.frames import FrameType

__all__ = ["TABLE", "Answer", "Input", "State", "render"]


class State(Enum):
    """Where a session is."""

    OPENING = "opening"
    """The peer's HELLO has not come."""
    ADMITTING = "admitting"
    """The shell is judging the peer's badge; frames wait."""
    DOCUMENTS = "documents"
    """Authority documents cross; no bundle before both are through."""
    APPLYING = "applying"
    """The shell is checking and saving documents; frames wait."""
    REFRESHING = "refreshing"
    """A document that came while live is being saved; frames wait."""
    LIVE = "live"
    """Reconciliation and bundles, until somebody leaves."""
    PARTING = "parting"
    """The peer may have documents only: what waits of them is sent, then the BYE."""
    CLOSED = "closed"
    """Nothing more is read; only a BYE is still sent, if it is ours to say."""


class Answer(Enum):
    """What the shell, the clock or the link say."""

    ADMIT = "admit"
    REFUSE = "refuse"
    ALL_DOCUMENTS = "all documents"
    APPLIED = "applied"
    RESTRICT = "restrict"
    CLOSE = "close"
    TIMEOUT = "timeout"
    END = "end of link"


Input = FrameType | Answer

_LIVE_FRAMES = (
    FrameType.SUMMARY,
    FrameType.SYMBOLS,
    FrameType.MORE,
    FrameType.LIST,
    FrameType.EQUAL,
    FrameType.ROUND_END,
    FrameType.WANT,
    FrameType.OFFER,
    FrameType.BUNDLE,
    FrameType.ACK,
    FrameType.PING,
    FrameType.PONG,
)
_ENDS: tuple[Input, ...] = (FrameType.BYE, Answer.CLOSE, Answer.TIMEOUT, Answer.END)

TABLE: dict[tuple[State, Input], State] = {
    (State.OPENING, FrameType.HELLO): State.ADMITTING,
    (State.ADMITTING, Answer.ADMIT): State.DOCUMENTS,
    (State.ADMITTING, Answer.REFUSE): State.CLOSED,
    (State.DOCUMENTS, FrameType.DOCUMENT_DIGESTS): State.DOCUMENTS,
    (State.DOCUMENTS, FrameType.DOCUMENT_VERSIONS): State.DOCUMENTS,
    (State.DOCUMENTS, FrameType.DOCUMENT): State.DOCUMENTS,
    (State.DOCUMENTS, FrameType.DOCUMENTS_END): State.DOCUMENTS,
    (State.DOCUMENTS, FrameType.PING): State.DOCUMENTS,
    (State.DOCUMENTS, FrameType.PONG): State.DOCUMENTS,
    (State.DOCUMENTS, Answer.ALL_DOCUMENTS): State.APPLYING,
    (State.APPLYING, Answer.APPLIED): State.LIVE,
    (State.APPLYING, Answer.RESTRICT): State.PARTING,
    (State.LIVE, FrameType.DOCUMENT): State.REFRESHING,
    (State.REFRESHING, Answer.APPLIED): State.LIVE,
    (State.REFRESHING, Answer.RESTRICT): State.PARTING,
    (State.LIVE, Answer.RESTRICT): State.PARTING,
    **{(State.LIVE, frame): State.LIVE for frame in _LIVE_FRAMES},
    **{(state, end): State.CLOSED for state in State if state is not State.CLOSED for end in _ENDS},
}


def render() -> str:
    """Return the reference page of the states, with its diagram."""
    inner = [
        f"    {source.value} --> {target.value}: "
        f"{item.value if isinstance(item, Answer) else item.name}"
        for (source, item), target in TABLE.items()
        if source is not target and item not in _ENDS
    ]
    staying = [
        f"| {state.value} | "
        + ", ".join(
            item.name for (source, item), target in TABLE.items() if source is target is state
        )
        + " |"
        for state in (State.DOCUMENTS, State.LIVE)
    ]
    return "\n".join(
        [
            "# Session states",
            "",
            "Made from `protocol/session/states.py` by `make docs`. A frame that the table does",
            "not name for the present state ends the session with code 6.",
            "",
            "```mermaid",
            "stateDiagram-v2",
            "    [*] --> opening",
            *inner,
            "    live --> closed: BYE, close, timeout, end of link (from every state)",
            "    closed --> [*]",
            "```",
            "",
            "Inputs that leave the state as it is:",
            "",
            "| state | frames |",
            "| --- | --- |",
            *staying,
            "",
            "While the session is *admitting*, *applying* or *refreshing*, frames wait unread.",
            "While it is *parting* they are dropped: the peer is revoked or its badge has expired,",
            "and only authority documents that wait still go to it.",
            "",
        ]
    )
