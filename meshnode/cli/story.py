"""One message as a story: who it is for, how far it came, and every step that is known."""

from __future__ import annotations

from typing import Any, Final

import typer

from meshnode.cli.delivery import outcome_words, show_recipients
from meshnode.cli.language import say, translate_error
from meshnode.cli.show import local_time, print_facts, safe, state_words
from protocol.bundle import Suite

__all__ = ["DETAILS", "KINDS", "STEPS", "SUITES", "show_story"]

STEPS: Final = {
    "created": "written here",
    "waiting for key": "waits for a key",
    "held back": "waits for the next hour: others take no more of it in this one",
    "sealed": "sealed",
    "queued": "queued here",
    "handed over": "handed over to",
    "receipt": "receipt from",
    "received": "received from",
    "opened": "opened here",
    "read": "read here",
    "delivered": "delivered to everybody",
    "expired": "expired",
    "refused": "refused",
    "cancelled": "cancelled",
    "resent": "sent again",
    "turned down": "not taken by",
}
"""Steps of the ledger in words for people."""

KINDS: Final = {"sos": "alarm (SOS)", "text": "text", "note": "text of low priority"}
"""Kinds of messages in words for people."""

SUITES: Final = {
    Suite.CHAIN: "for a group, by its author's chain",
    Suite.HYBRID: "for one device, hybrid post-quantum",
    Suite.CLASSICAL: "for one device",
    Suite.CLEAR: "not sealed",
    Suite.ZONE: "for the whole zone",
}
"""How a message is sealed, in words for people."""

DETAILS: Final = (
    "{0} recipients",
    "{0} of {1} recipients",
    "no key of {0} is known here yet",
    "{0} gets its key when it is met",
    "{0} was revoked",
    "at gateway",
    "on device",
    "read",
    "withdrawn",
    "cancelled",
    "too late",
    "quota",
    "store full",
    "too far ahead",
    "revoked",
)
"""What the ledger of a message adds to its steps; `{0}` stands for a name or a number."""


def _reason(message: dict[str, Any]) -> str:
    """Return what is said beside a state; what is odd about an incoming message in words."""
    return say("revoked author") if message["is_author_revoked"] else str(message["reason"])


def show_story(message: dict[str, Any]) -> None:
    """Print what `Api.message` tells."""
    is_outgoing = message["direction"] == "outgoing"
    carriers = message["carriers"]
    facts = {
        say("message"): message["message"],
        say("from"): message["from"],
        say("to"): message["to"],
        say("kind"): say(KINDS[message["kind"]]),
        say("text"): message["text"],
        say("written"): local_time(message["created_ms"]),
        say("received"): local_time(message["received_ms"]),
        say("expires"): local_time(message["expires_ms"]),
        say("sealing"): say(SUITES[message["suite"]]) if message["suite"] else "",
        say("state"): state_words(
            message["state"], len(carriers) if is_outgoing else None, _reason(message)
        ),
        say("outcome"): outcome_words(message) if is_outgoing else "",
        say("ended"): local_time(message["ended_ms"]),
        say("carriers"): ", ".join(each["name"] for each in carriers),
    }
    print_facts({name: value for name, value in facts.items() if value})
    show_recipients(message["matrix"])
    _print_ledger(message["ledger"])


def _print_ledger(ledger: list[dict[str, Any]]) -> None:
    if not ledger:
        return
    typer.echo()
    typer.echo(say("What happened:"))
    for each in ledger:
        words = [say(STEPS.get(each["event"], each["event"]))]
        words += [safe(each["name"])] if each["name"] else []
        words += [f"({translate_error(safe(each['detail']))})"] if each["detail"] else []
        typer.echo(f"  {local_time(each['at_ms'])}  {' '.join(words)}")
