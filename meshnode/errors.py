"""Errors of the node, beside those of the protocol: what failed, and whose business it is.

MeshError
├── StoreError       StoreFullError (QuotaError), SchemaTooNewError,
│                    StoreCorruptError (SealBrokenError)
├── LinkError        LinkClosedError, LinkTimeoutError, HandshakeError, BudgetError
├── ConfigError      .key .reason; the start is refused
├── HomeError        the folder of a node cannot be used as asked; HomeBusyError
├── SendError        a message cannot be taken; nothing was stored
├── SensorError      .reason; a source of readings is missing, or says what cannot be
├── ChargeError      a plan for charging is asked for with numbers that cannot be
├── KeystoreError    keys at rest cannot be used; LockedError, LeaseEndedError, WipedError,
│                    WrongSecretError, SecretDelayedError
├── ControlError     the running node did not answer, or refused
└── WebError         the screens cannot be used as asked

Source: STYLE 17-20, architecture section 8.
"""

from __future__ import annotations

from protocol.errors import MeshError

__all__ = [
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


class LeaseEndedError(KeystoreError):
    """No beacon of the centre came in time; no secret opens the keys until one does."""


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
