"""The bodies that routes take, field by field; an unknown field is refused.

Bounds that the node itself has stand there; here are those that keep a request small.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from meshnode.web.answers import RefusedError
from protocol.guards import WIPE_DEVICES_MAX

__all__ = [
    "AlarmCloseBody",
    "AlarmSeenBody",
    "AlarmTextBody",
    "ConfirmBody",
    "DeclineBody",
    "MessageBody",
    "OrderAskBody",
    "OwnPaperBody",
    "PaperBody",
    "PositionBody",
    "ResendBody",
    "SecretBody",
    "SessionBody",
    "ShiftBody",
    "SignedOrderBody",
    "SosBody",
    "SosBySecretBody",
    "StateBody",
    "read_body",
]

Text: TypeAlias = Annotated[str, Field(max_length=16_384, pattern=r"^[^\x00]*$", repr=False)]
"""Text of a message: at most 16 kB, which the node measures in bytes."""
Name: TypeAlias = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]
"""Whom people mean: a name, `codt`, `zone`, `squad:NAME`, an id."""
Secret: TypeAlias = Annotated[str, Field(max_length=1_024, repr=False)]
"""Never shown."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class SessionBody(_Body):
    """How somebody signs in: exactly one of the three."""

    key: Secret = ""
    """One-time code of `meshnode web open`."""
    token: Secret = ""
    """Named token."""
    secret: Secret = ""
    """The agent's secret, which unlocks a locked device."""


class SecretBody(_Body):
    """What unlocks the device."""

    secret: Secret = ""
    """Empty on a device that opens by itself."""


class MessageBody(_Body):
    """A message to write."""

    to: Name
    """`codt`, `zone`, `squad:NAME`, a device's name or id."""
    text: Text
    """What it says."""
    priority: Literal["normal", "low"] = "normal"
    """How urgent it is; for help there is `/api/sos`."""
    lifetime_s: Annotated[int, Field(ge=1, le=2**31)] | None = None
    """Seconds until it is given up; None for what its kind has."""


class ResendBody(_Body):
    """To whom a message goes again."""

    to: Name = ""
    """A device; empty for all that lack it."""


class PositionBody(_Body):
    """Where this device is, as somebody says."""

    latitude: Annotated[float, Field(ge=-90, le=90, repr=False)]
    """Degrees."""
    longitude: Annotated[float, Field(ge=-180, le=180, repr=False)]
    """Degrees."""
    accuracy_m: Annotated[float, Field(ge=0, le=1_000_000)] = 0.0
    """Metres; 0 for unknown."""


class StateBody(_Body):
    """How this device is, as somebody read it just now; None stays as it was told."""

    battery_pct: Annotated[float, Field(ge=0, le=100)] | None = None
    """Per cent."""
    is_charging: bool = False
    """It is on a charger."""
    network: Literal["none", "2G", "3G", "4G", "5G", "LAN"] | None = None
    """What coverage there is."""
    signal_pct: Annotated[float, Field(ge=0, le=100)] | None = None
    """Per cent."""
    signal_dbm: Annotated[int, Field(ge=-150, le=0)] | None = None
    """Decibel-milliwatts."""
    operator: Annotated[str, Field(max_length=100)] = ""
    """Name of the mobile network."""


class ShiftBody(_Body):
    """A shift to open."""

    hours: Annotated[int, Field(ge=1, le=48)] = 12
    """How long it is planned to be."""


class SosBody(_Body):
    """An alarm to raise."""

    text: Text
    """What happens here."""
    to: Name = ""
    """Whose receipts it waits for; empty for the centre."""
    at: Annotated[str, Field(max_length=100, repr=False)] = ""
    """`LATITUDE,LONGITUDE` or `LATITUDE,LONGITUDE,METRES`; empty for the newest position."""
    tells_place: bool = True
    """Tell where this device is."""


class SosBySecretBody(SosBody):
    """An alarm to raise on a locked device."""

    secret: Secret = ""
    """The agent's; empty on a device that opens by itself."""


class AlarmSeenBody(_Body):
    """How an alarm was seen."""

    is_shown: bool = False
    """A screen showed it, and nobody said so."""


class AlarmTextBody(_Body):
    """A word that goes with a step of an alarm."""

    text: Text = ""
    """For those who follow the alarm."""


class AlarmCloseBody(AlarmTextBody):
    """How an alarm ends."""

    is_false: bool = False
    """It was no alarm."""


class OrderAskBody(_Body):
    """A revocation or a wipe that an operator asks for."""

    what: Literal["revoke", "wipe"]
    """Nobody believes them any more; or they destroy their keys."""
    level: Literal["", "agent", "all"] = ""
    """How much a wipe destroys; empty for a revocation."""
    devices: Annotated[list[Name], Field(min_length=1, max_length=WIPE_DEVICES_MAX)]
    """Ids of the devices, each once; there is no way to name all."""
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]*$", repr=False)]
    """Why, for the second person; it is kept in memory alone."""
    typed: Name
    """Name of the first device, as a person typed it."""


class ConfirmBody(_Body):
    """A second person's word for what was asked for."""

    token: Secret
    """The second person's own."""
    typed: Name
    """Name of the first device, as a person typed it."""


class DeclineBody(_Body):
    """Why a request is ended."""

    reason: Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$", repr=False)] = ""
    """For those who look at it afterwards."""


class SignedOrderBody(_Body):
    """An order with the signatures of one card or more."""

    text: Annotated[str, Field(max_length=200_000, pattern=r"^[^\x00]*$", repr=False)]
    """As `meshnode authority` writes it."""


class PaperBody(_Body):
    """A text that somebody scanned or pasted."""

    text: Annotated[str, Field(max_length=200_000, pattern=r"^[^\x00]*$", repr=False)]
    """A card, or a paper of enrolment; it may hold a secret."""


class OwnPaperBody(PaperBody):
    """An invitation for this device, or the answer that ends its enrolment."""

    secret: Secret = ""
    """What opens the device from now on; empty for one that starts alone."""


_Kind = TypeVar("_Kind", bound=_Body)


def read_body(kind: type[_Kind], raw: bytes) -> _Kind:
    """Return the body that JSON holds. Raises: RefusedError, which tells nothing of it."""
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        places = [".".join(str(part) for part in each["loc"]) for each in error.errors()]
        raise RefusedError("body", ", ".join(places)[:200]) from error
