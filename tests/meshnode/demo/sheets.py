"""What stores may say, in short, for tests of the ledger."""

from __future__ import annotations

from meshnode.demo.ledger import Sheet, Shown, Written


def written(message: str, to: str, *readers: str, state: str = "delivered") -> Written:
    """Return a message whose text follows from its id."""
    states = tuple((name, "on device") for name in sorted(readers))
    return Written(message, to, "text", f"text of {message}", state, states)


def shown(message: str, author: str, kind: str = "text", received_ms: int = 0) -> Shown:
    """Return a message in an inbox, with the text that belongs to its id."""
    return Shown(message, author, kind, f"text of {message}", received_ms)


def sheet(name: str, *entries: Written | Shown) -> Sheet:
    """Return the sheet of a device."""
    return Sheet(
        name,
        tuple(each for each in entries if isinstance(each, Written)),
        tuple(each for each in entries if isinstance(each, Shown)),
    )
