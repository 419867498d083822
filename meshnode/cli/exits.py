"""How a command ends: the exit code of each kind of error, its meaning and its cure, as data.

The reference page of errors is made from this table. It is imported only when something failed,
because it knows every room that has errors of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from meshnode.authority_keys import AuthorityError
from meshnode.cli.texts import TextError
from meshnode.directory import UnknownNameError
from meshnode.dump import DumpError
from meshnode.errors import (
    ChargeError,
    ConfigError,
    ControlError,
    HomeError,
    KeystoreError,
    LeaseEndedError,
    LinkError,
    LinkTimeoutError,
    LockedError,
    QuotaError,
    SchemaTooNewError,
    SendError,
    SensorError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    WebError,
    WipedError,
    WrongSecretError,
)
from meshnode.holdings import HoldingsError
from meshnode.stick import StickError
from protocol.errors import (
    DocumentError,
    EnrolmentError,
    EnvelopeError,
    ExpiredError,
    IdentityError,
    LimitExceededError,
    MeshError,
    ProtocolError,
    RemoteProtocolError,
)

__all__ = [
    "EXIT_CODES",
    "EXIT_FINDINGS",
    "EXIT_INTERNAL",
    "EXIT_INTERRUPTED",
    "EXIT_USAGE",
    "Exit",
    "exit_for",
]

EXIT_FINDINGS: Final = 1
"""The command worked, and what it found is not well: a failed check of `doctor`, a loss in `demo`,
a message that `cancel` came too late for, a document that was refused."""
EXIT_USAGE: Final = 2
"""The command line itself is wrong."""
EXIT_INTERNAL: Final = 70
"""A defect of this program (EX_SOFTWARE of sysexits.h)."""
EXIT_INTERRUPTED: Final = 130
"""Stopped by Ctrl-C, as shells have it."""


@dataclass(frozen=True, slots=True)
class Exit:
    """What a kind of error means for whoever called the command."""

    code: int
    """Exit code of the process."""
    meaning: str
    """What happened, for the reference page."""
    cure: str = ""
    """What to do, where the error's own message does not say it."""


EXIT_CODES: Final[Mapping[type[MeshError], Exit]] = MappingProxyType(
    {
        TextError: Exit(2, "a text, file or passphrase that the command needs is missing"),
        UnknownNameError: Exit(2, "no device, squad or alarm, or more than one, is called so"),
        LimitExceededError: Exit(2, "what was given is larger than a stated bound"),
        RemoteProtocolError: Exit(
            2, "a text or file is damaged or not what the command takes", "bring it again"
        ),
        HoldingsError: Exit(2, "a signed answer is damaged, forged, or of an unknown device"),
        ChargeError: Exit(2, "a plan for charging is asked for with numbers that cannot be"),
        ConfigError: Exit(
            3, "a setting is unknown or out of its bounds", "mend meshnode.toml in the home"
        ),
        HomeError: Exit(4, "the folder of the node cannot be used as asked"),
        EnrolmentError: Exit(4, "a step of the enrolment was refused"),
        AuthorityError: Exit(4, "the folder of the authority cannot be used as asked"),
        ExpiredError: Exit(
            4, "the badge is not valid at this time", "check the clock, or enrol again"
        ),
        IdentityError: Exit(
            4, "a badge does not allow what was asked", "have the device enrolled again"
        ),
        DocumentError: Exit(
            4, "an authority document is not acceptable", "ask the authority for its newest rosters"
        ),
        LinkTimeoutError: Exit(
            5, "nobody answered in time", "check the address, and that a node runs there"
        ),
        LinkError: Exit(
            5, "a link could not be made or used", "check the address, and that a node runs there"
        ),
        QuotaError: Exit(7, "the device has said as much as others take of it in an hour"),
        StoreFullError: Exit(
            6, "the disk, or the share the store may use, is full", "free some space"
        ),
        SchemaTooNewError: Exit(
            6, "the store was written by a newer build", "install the newer meshnode"
        ),
        StoreCorruptError: Exit(6, "the store is damaged", "see 'meshnode doctor'"),
        StoreError: Exit(6, "the store could not do what was asked", "see 'meshnode doctor'"),
        SendError: Exit(7, "the message was refused; nothing was stored"),
        SensorError: Exit(
            8, "a sensor is missing, or says what cannot be", "see 'meshnode sensors'"
        ),
        LockedError: Exit(10, "the device is locked", "run 'meshnode unlock'"),
        LeaseEndedError: Exit(10, "the lease of the device has ended"),
        WrongSecretError: Exit(10, "the secret is wrong", "type it again"),
        WipedError: Exit(10, "the device was wiped", "enrol it again in a new home"),
        KeystoreError: Exit(
            10, "the keys of the device cannot be used", "restore the home from its copy"
        ),
        StickError: Exit(7, "a sealed file cannot be written or read as asked"),
        EnvelopeError: Exit(7, "sealed content cannot be opened here"),
        ControlError: Exit(
            8, "the running node refused, or went away", "see 'meshnode status', or start it again"
        ),
        WebError: Exit(8, "the screens cannot be used as asked"),
        ProtocolError: Exit(70, "a defect of this program", "report it with --debug"),
        DumpError: Exit(2, "a file cannot be read at all"),
        MeshError: Exit(9, "the demo or a measurement could not do its work"),
    }
)
"""Each kind of error with its exit code; a class that is not here counts as its nearest base."""


def exit_for(error: MeshError) -> Exit:
    """Return the place of `error` in the table: that of its class, or of the nearest base.

    What a running node refused counts like the same refusal without one.
    """
    kind = type(error)
    if isinstance(error, ControlError):
        kind = next((each for each in _kinds(MeshError) if each.__name__ == error.kind), kind)
    for each in kind.__mro__:
        if each in EXIT_CODES:
            return EXIT_CODES[each]
    raise AssertionError("MeshError itself is in the table")


def _kinds(kind: type[MeshError]) -> Iterator[type[MeshError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _kinds(each)
