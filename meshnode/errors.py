"""Errors of the node, beside those of the protocol: what failed, and whose business it is.

MeshError
├── StoreError       StoreFullError (QuotaError), SchemaTooNewError,
│                    StoreCorruptError (SealBrokenError)
├── LinkError        LinkClosedError, LinkTimeoutError, HandshakeError, BudgetError
├── ConfigError      .key .reason; the start is refused
├── HomeError        the folder of a node cannot be used as asked; HomeBusyError
├── BackupError      .reason; a backup is not written, or not taken; nothing half is left
├── SendError        a message cannot be taken; nothing was stored
├── SensorError      .reason; a source of readings is missing, or says what cannot be
├── ChargeError      a plan for charging is asked for with numbers that cannot be
├── KeystoreError    keys at rest cannot be used; LockedError, LeaseEndedError, WipedError,
│                    WrongSecretError, SecretDelayedError
├── ArchiveError     the archive of a gateway; ArchiveDownError, ArchiveKeyError,
│                    ArchiveTamperedError
├── ControlError     the running node did not answer, or refused
└── WebError         the screens cannot be used as asked

Source: STYLE 17-20, architecture section 8.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from protocol.errors import MeshError

__all__ = [
    "ArchiveDownError",
    "ArchiveError",
    "ArchiveKeyError",
    "ArchiveReason",
    "ArchiveTamperedError",
    "BackupError",
    "BudgetError",
    "ChargeError",
    "ConfigError",
    "ControlError",
    "HandshakeError",
    "HomeBusyError",
    "HomeError",
    "KeystoreError",
    "LeaseEndedError",
    "LinkClosedError",
    "LinkError",
    "LinkTimeoutError",
    "LockedError",
    "QuotaError",
    "SchemaTooNewError",
    "SealBrokenError",
    "SecretDelayedError",
    "SendError",
    "SensorError",
    "StoreCorruptError",
    "StoreError",
    "StoreFullError",
    "WebError",
    "WipedError",
    "WrongSecretError",
]


class StoreError(MeshError):
    """The store could not do what was asked; nothing of it was done."""


class StoreFullError(StoreError):
    """The disk, or the share of it that the store may use, is full."""


class QuotaError(StoreFullError):
    """Others would refuse what this device wants to say: it has said too much this hour."""


class StoreCorruptError(StoreError):
    """The database is damaged, or lacks what it must hold."""


class SealBrokenError(StoreCorruptError):
    """A sealed row was changed, moved to another place, or its key is gone."""


class SchemaTooNewError(StoreError):
    """The database was written by a newer build."""


class LinkError(MeshError):
    """A link could not be made or used."""


class LinkClosedError(LinkError):
    """The link has ended, at either end."""


class LinkTimeoutError(LinkError):
    """Nobody answered within the bound."""


class HandshakeError(LinkError):
    """The two ends could not prove to each other who they are."""


class BudgetError(LinkError):
    """The budget of a bearer is used up; `bearer` is its name in the settings."""

    def __init__(self, bearer: str) -> None:
        super().__init__(f"the budget of {bearer} is used up: see 'meshnode budget'")
        self.bearer = bearer


class ConfigError(MeshError):
    """A setting is unknown or out of its bounds."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"setting '{key}': {reason}")
        self.key = key
        self.reason = reason


class HomeError(MeshError):
    """The folder of a node is missing, in use by another process, or not a node's."""


class HomeBusyError(HomeError):
    """Another process has the store of this home open."""


class BackupError(MeshError):
    """A backup cannot be written or restored; `reason` is one stable word. Nothing half is left."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SendError(MeshError):
    """A message cannot be taken; `reason` is one stable word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SensorError(MeshError):
    """A sensor is missing, or says what cannot be; `reason` is a stable word or two.

    The message never tells the reading itself.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ChargeError(MeshError):
    """No plan for charging can be made of numbers that no vehicle or device has."""


class KeystoreError(MeshError):
    """The keys at rest of this device cannot be used as asked."""


class LockedError(KeystoreError):
    """The agent's secret is needed for this: the device is locked."""

    def __init__(self, message: str = "the device is locked: run 'meshnode unlock'") -> None:
        super().__init__(message)


class LeaseEndedError(KeystoreError):
    """No beacon of the centre came in time; until one does, a secret raises an SOS and no more."""


class WrongSecretError(KeystoreError):
    """The secret does not open the keys of this device."""


class SecretDelayedError(KeystoreError):
    """Too many wrong secrets: the next one may be tried in `wait_ms` milliseconds."""

    def __init__(self, wait_ms: int) -> None:
        seconds = -(-wait_ms // 1000)
        super().__init__(f"too many wrong secrets: try again in {seconds} s")
        self.wait_ms = wait_ms


class WipedError(KeystoreError):
    """The keys of this device were destroyed; it must be enrolled anew."""


class ControlError(MeshError):
    """The running node refused a command, or went away; `kind` names the error at its end."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class WebError(MeshError):
    """The screens cannot be used as asked; the node goes on all the same."""


class ArchiveReason(StrEnum):
    """Why an archive does not do its work, for screens that say it in their own language."""

    UNREACHABLE = "unreachable"
    """Nobody answers where the database should be."""
    REFUSED = "refused"
    """The database, or the file's owner, lets this gateway do nothing."""
    FULL = "full"
    """The disk under the database is full."""
    DISK = "disk"
    """The disk of the device itself takes nothing: full, failing, or mounted for reading."""
    READ_ONLY = "read_only"
    """The database takes no changes."""
    BUSY = "busy"
    """Another program holds the database."""
    BROKEN = "broken"
    """The disk, or the file of the database, is damaged."""
    OTHER_KEY = "other_key"
    """The key here does not open what is there."""
    KEY_LOST = "key_lost"
    """The key of the archive is missing here, or damaged."""
    NEWER = "newer"
    """The archive was upgraded by another version of the program."""
    TAMPERED = "tampered"
    """The purge log was changed or cut off."""
    LOCKED = "locked"
    """The agent's keys are shut, and the archive with them."""
    CLOCK = "clock"
    """The clock jumped: nothing may be destroyed by it."""
    OTHER = "other"
    """None of these; the words of the error say all that is known."""


class ArchiveError(MeshError):
    """The archive of a gateway cannot do this."""

    usual: ClassVar[ArchiveReason] = ArchiveReason.OTHER
    """What it is where nothing else is said."""

    def __init__(self, message: str, reason: ArchiveReason | None = None) -> None:
        super().__init__(message)
        self.reason = self.usual if reason is None else reason
        """Which of the known kinds it is."""


class ArchiveDownError(ArchiveError):
    """The database of the archive does not answer; what waits for it stays in the spool."""

    usual = ArchiveReason.UNREACHABLE


class ArchiveKeyError(ArchiveError):
    """The key of the archive is missing, damaged, or of another archive."""

    usual = ArchiveReason.KEY_LOST


class ArchiveTamperedError(ArchiveError):
    """A record of the archive was changed, cut off or signed by somebody else."""

    usual = ArchiveReason.TAMPERED
