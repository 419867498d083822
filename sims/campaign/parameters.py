"""What a campaign may vary: one record, its bounds, and its forms in TOML and in CSV.

The first half goes to the simulator as it is; the second half changes the region before the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, TypeAlias

from protocol.errors import MeshError
from sims.abstract.records import Options, PolicyName

__all__ = [
    "PARAMETERS",
    "CampaignError",
    "Parameters",
    "Value",
    "parameters_of",
    "read_value",
    "text_of",
    "value_of_text",
]

Value: TypeAlias = "PolicyName | int | float | bool | None"


class CampaignError(MeshError):
    """A campaign, its cluster or its results cannot be used; `place` names where."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"campaign, {place}: {reason}")
        self.place = place
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Parameters:
    """One point of the grid."""

    policy: PolicyName = PolicyName.GAIN
    """Routing policy."""
    buffer_bytes: int = 5_000_000
    """What each node holds; 0 is without bound."""
    rate_bytes_s: float = 250_000.0
    """Of every contact; 0 is without bound."""
    copies: int = 10
    """Copies that spray and wait begins with."""
    has_receipts: bool | None = None
    """Whether receipts purge copies; None takes what belongs to the policy."""
    has_resume: bool = True
    """Whether a transfer that was cut goes on at the next contact."""
    load_scale: float = 1.0
    """Messages, as a multiple of those of the scenario."""
    lifetime_scale: float = 1.0
    """Lifetimes, as a multiple of those of the scenario."""
    dead_share: float = 0.0
    """Share of the nodes that are off from begin to end; gateways stay on."""
    cancelled_share: float = 0.0
    """Share of the contacts that do not take place."""
    jitter_s: float = 0.0
    """Each contact comes up to so much earlier or later, seconds."""

    def options(self, seed: int) -> Options:
        """Return what the simulator is given."""
        return Options(
            policy=self.policy,
            buffer_bytes=self.buffer_bytes,
            rate_bytes_s=self.rate_bytes_s,
            seed=seed,
            copies=self.copies,
            has_receipts=self.has_receipts,
            has_resume=self.has_resume,
        )

    def texts(self) -> tuple[str, ...]:
        """Return the values as text, in the order of `PARAMETERS`."""
        return tuple(text_of(getattr(self, name)) for name in PARAMETERS)


PARAMETERS: Final = tuple(field.name for field in fields(Parameters))
"""Names of all parameters, in the order of the columns of a results file."""

_RECEIPTS_OF_POLICY: Final = "policy"
"""Word for the receipts that belong to the policy: TOML has no empty value."""
_FLAGS: Final = {"true": True, "false": False}
_WHOLE_MAX: Final = {"buffer_bytes": (0, 10**15), "copies": (1, 1_000_000)}
_NUMBER_MAX: Final = {
    "rate_bytes_s": (0.0, 1e12),
    "load_scale": (0.001, 1_000.0),
    "lifetime_scale": (0.001, 1_000.0),
    "dead_share": (0.0, 1.0),
    "cancelled_share": (0.0, 1.0),
    "jitter_s": (0.0, 31_622_400.0),
}


def read_value(name: str, value: object, place: str) -> Value:
    """Return a value of TOML as one of the parameter `name`. Raises: CampaignError."""
    if name == "policy":
        return _policy(value, place)
    if name in ("has_receipts", "has_resume"):
        return _flag(name, value, place)
    if name in _WHOLE_MAX:
        return _whole(value, _WHOLE_MAX[name], place)
    if name in _NUMBER_MAX:
        return _number(value, _NUMBER_MAX[name], place)
    raise CampaignError(place, f"is unknown: parameters are {', '.join(PARAMETERS)}")


def text_of(value: Value) -> str:
    """Return a value as it stands in a results file; reading it back gives the same value."""
    if value is None:
        return _RECEIPTS_OF_POLICY
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def value_of_text(name: str, text: str, place: str) -> Value:
    """Return what `text_of` wrote for the parameter `name`. Raises: CampaignError."""
    value: object = text
    if name in _WHOLE_MAX or name in _NUMBER_MAX:
        try:
            value = int(text) if name in _WHOLE_MAX else float(text)
        except ValueError as error:
            raise CampaignError(place, f"{name} is a number") from error
    return read_value(name, _FLAGS.get(text, value), place)


def parameters_of(values: Mapping[str, Value], options: Options | None = None) -> Parameters:
    """Return the record with `values`, which `read_value` gave, and all else as in `options`."""
    start = options or Options()
    known = {name: getattr(start, name) for name in PARAMETERS if hasattr(start, name)}
    return Parameters(**known | dict(values))


def _policy(value: object, place: str) -> PolicyName:
    known = [each.value for each in PolicyName]
    if not isinstance(value, str) or value not in known:
        raise CampaignError(place, f"a policy is one of {', '.join(known)}")
    return PolicyName(value)


def _flag(name: str, value: object, place: str) -> bool | None:
    if isinstance(value, bool):
        return value
    if name == "has_receipts" and value == _RECEIPTS_OF_POLICY:
        return None
    words = "true or false"
    if name == "has_receipts":
        words = f"true, false or '{_RECEIPTS_OF_POLICY}', what belongs to the policy"
    raise CampaignError(place, f"is {words}")


def _whole(value: object, bounds: tuple[int, int], place: str) -> int:
    low, high = bounds
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise CampaignError(place, f"is a whole number from {low} to {high}")
    return value


def _number(value: object, bounds: tuple[float, float], place: str) -> float:
    low, high = bounds
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise CampaignError(place, f"is a number from {low:g} to {high:g}")
    return float(value)
