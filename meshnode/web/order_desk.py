"""Revocations and wipes on the screens: asked for by one person, confirmed by another.

A request is a plan and no order. What it is for is signed elsewhere, by cards; here the signed
order is held against the plan, and only what was confirmed goes into the node. Requests live in
memory alone: a restart, which signs everybody out, ends them too. Source: decision 60.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

import trio

from meshnode.api import Api
from meshnode.lines import Json
from meshnode.runtime import Runtime
from meshnode.web.answers import RefusedError
from meshnode.web.bodies import OrderAskBody
from meshnode.web.limits import ORDER_REQUEST_S_MAX, ORDER_REQUESTS_MAX
from meshnode.web.roles import WebRole
from meshnode.web.sessions import Session
from meshnode.web.tokens import Token, is_same_person

__all__ = ["OrderDesk", "OrderRequest", "RequestState"]

_ID_BYTES: Final = 8


class RequestState(StrEnum):
    """How far a request has come."""

    WAITING = "waiting"
    """For the second person."""
    CONFIRMED = "confirmed"
    """For the signed order."""
    DECLINED = "declined"
    """One of the two ended it."""
    GIVEN = "given"
    """The signed order is in force here and spreads."""


_OPEN: Final = (RequestState.WAITING, RequestState.CONFIRMED)


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """One plan, and who said yes to it."""

    id: str
    """16 hexadecimal digits."""
    what: str
    """`revoke` or `wipe`."""
    level: str
    """`agent` or `all`; empty for a revocation."""
    devices: tuple[Json, ...]
    """Name and id of each."""
    reason: str = field(repr=False)
    """Why, as the first person says."""
    asked_by: str
    """Name of the first person's token; empty for the owner of this device."""
    asked_ms: int
    """When, Unix milliseconds."""
    ends_ms: int
    """When its time is over, Unix milliseconds, for people."""
    ends_s: float
    """The same on trio's clock, which nobody sets."""
    state: RequestState = RequestState.WAITING
    """How far it has come."""
    decided_by: str = ""
    """Name of the token of whoever confirmed or declined it; empty for nobody, or the owner."""
    decided_ms: int = 0
    """When, Unix milliseconds; 0 for not yet."""
    token_made_ms: int = 0
    """When the token that confirmed it was made, Unix milliseconds; 0 for not confirmed."""
    declined_for: str = field(default="", repr=False)
    """Why it was declined."""
    signed: int = 0
    """Cards that signed the order which was brought last."""
    needed: int = 0
    """Cards that must; 0 before an order was brought."""
    share: str = field(default="", repr=False)
    """That order, while signatures are missing."""

    @property
    def ids(self) -> list[str]:
        """Ids of its devices."""
        return [str(each["node"]) for each in self.devices]

    def told(self) -> Json:
        """Return it as people see it."""
        return {
            "request": self.id,
            "what": self.what,
            "level": self.level,
            "devices": list(self.devices),
            "reason": self.reason,
            "asked_by": self.asked_by,
            "asked_ms": self.asked_ms,
            "ends_ms": self.ends_ms,
            "state": str(self.state),
            "decided_by": self.decided_by,
            "decided_ms": self.decided_ms,
            "token_made_ms": self.token_made_ms,
            "declined_for": self.declined_for,
            "signed": self.signed,
            "needed": self.needed,
            "share": self.share,
        }


class OrderDesk:
    """The requests of one node."""

    def __init__(
        self, api: Api, runtime: Runtime, find_token: Callable[[str], Token | None]
    ) -> None:
        self._api = api
        self._runtime = runtime
        self._find_token = find_token
        self._requests: dict[str, OrderRequest] = {}
        # One step at a time: two signed orders never meet one plan at once.
        self._turn = trio.Lock()

    async def all(self) -> list[Json]:
        """Return the requests whose time is not over, the newest first."""
        async with self._turn:
            await self._tidy()
            return [each.told() for each in reversed(self._requests.values())]

    async def ask(self, session: Session | None, body: OrderAskBody) -> Json:
        """Begin a request as the person of this session.

        Raises: RefusedError, UnknownNameError, StoreError.
        """
        person = _person(session)
        if (body.what == "wipe") != bool(body.level):
            raise RefusedError("body", "a wipe has a level, a revocation has none")
        devices = self._api.devices_named(body.devices)
        if len({each["node"] for each in devices}) != len(devices):
            raise RefusedError("body", "a device is named twice")
        _check_typed(devices, body.typed)
        for each in devices:
            if body.what == "revoke" and self._api.is_revoked(each["node"]):
                raise RefusedError("order_refused", f"{each['name']} is revoked already")
        now_ms = self._runtime.now_ms()
        made = OrderRequest(
            id=self._runtime.entropy(_ID_BYTES).hex(),
            what=body.what,
            level=body.level,
            devices=tuple(devices),
            reason=body.reason,
            asked_by=person,
            asked_ms=now_ms,
            ends_ms=now_ms + 1000 * ORDER_REQUEST_S_MAX,
            ends_s=trio.current_time() + ORDER_REQUEST_S_MAX,
        )
        async with self._turn:
            await self._tidy()
            self._make_room()
            return await self._keep(made, "order_asked")

    async def confirm(self, request_id: str, token: str, typed: str) -> Json:
        """Confirm a request by a token that is shown now, and is another person's.

        It must have been made before the request was: whoever asks cannot make up a colleague
        afterwards. Raises: RefusedError, StoreError.
        """
        async with self._turn:
            found = await self._found(request_id, RequestState.WAITING)
            second = self._find_token(token)
            if second is None:
                raise RefusedError("wrong_key")
            if WebRole[second.role.upper()] < WebRole.OPERATOR:
                raise RefusedError("role", WebRole.OPERATOR.word)
            if is_same_person(second.name, found.asked_by):
                raise RefusedError("person", "a second person: the same one asked for it")
            if second.made_ms >= found.asked_ms:
                raise RefusedError("person", "a token that is older than the request")
            _check_typed(found.devices, typed)
            dated = replace(found, token_made_ms=second.made_ms)
            return await self._decide(dated, RequestState.CONFIRMED, second.name)

    async def decline(self, session: Session | None, request_id: str, reason: str) -> Json:
        """End a request; whoever asked may take it back. Raises: RefusedError, StoreError."""
        person = _person(session)
        async with self._turn:
            found = await self._found(request_id, *_OPEN)
            told = replace(found, declined_for=reason, share="")
            return await self._decide(told, RequestState.DECLINED, person)

    async def take(self, session: Session | None, request_id: str, text: str) -> Json:
        """Hold a signed order against what was confirmed; whole, it takes effect and spreads.

        With signatures missing it is kept for the holder of the next card to fetch.
        Raises: RefusedError, MalformedError, LimitExceededError, ControlError, StoreError.
        """
        _person(session)
        async with self._turn:
            found = await self._found(request_id, RequestState.CONFIRMED)
            order = self._api.read_order(text)
            _check_same(found, order)
            signed, needed = int(order["signed"]), int(order["needed"])
            if not needed or not signed:
                raise RefusedError("order_refused", "no card that the root names signed it")
            if signed < needed:
                kept = replace(found, signed=signed, needed=needed, share=text)
                return await self._keep(kept, "order_share_taken")
            taken = await self._api.take_order(text)
            if taken["refused"]:
                raise RefusedError("order_refused", ", ".join(taken["refused"]))
            given = replace(found, signed=signed, needed=needed, share="", state=RequestState.GIVEN)
            return await self._keep(given, "order_given")

    # --- steps ------------------------------------------------------------------------------

    async def _decide(self, found: OrderRequest, state: RequestState, person: str) -> Json:
        decided = replace(found, state=state, decided_by=person, decided_ms=self._runtime.now_ms())
        is_yes = state is RequestState.CONFIRMED
        return await self._keep(decided, "order_confirmed" if is_yes else "order_declined")

    async def _keep(self, request: OrderRequest, event: str) -> Json:
        """Write the step down, and only then let it count."""
        await self._api.note_order(event, request.ids)
        self._requests[request.id] = request
        return request.told()

    async def _found(self, request_id: str, *states: RequestState) -> OrderRequest:
        await self._tidy()
        found = self._requests.get(request_id)
        if found is None:
            raise RefusedError("unknown_request")
        if found.state not in states:
            raise RefusedError("request_state", found.state)
        return found

    async def _tidy(self) -> None:
        """Forget requests whose time is over."""
        now_s = trio.current_time()
        for each in [each for each in self._requests.values() if now_s >= each.ends_s]:
            if each.state in _OPEN:
                await self._api.note_order("order_expired", each.ids)
            del self._requests[each.id]

    def _make_room(self) -> None:
        ended = [each.id for each in self._requests.values() if each.state not in _OPEN]
        while len(self._requests) >= ORDER_REQUESTS_MAX:
            if not ended:
                raise RefusedError("requests_full", ORDER_REQUESTS_MAX)
            del self._requests[ended.pop(0)]


def _person(session: Session | None) -> str:
    """Return who sits at a browser: the name of a token, empty for the owner of this device.

    A program that shows its token with each request is no person. Raises: RefusedError.
    """
    if session is None or not session.csrf:
        raise RefusedError("person", "a person who signed in with a browser")
    return session.name


def _check_typed(devices: list[Json] | tuple[Json, ...], typed: str) -> None:
    first = str(devices[0]["name"])
    if typed.strip().casefold() != first.casefold():
        raise RefusedError("typed", first)


def _check_same(request: OrderRequest, order: Json) -> None:
    """Raise RefusedError for an order that says anything else than what was confirmed."""
    wanted, named, fresh = set(request.ids), set(order["devices"]), set(order["fresh"])
    if order["what"] != request.what or order["level"] != request.level:
        raise RefusedError("order_other", "another kind of order")
    if not wanted <= named:
        raise RefusedError("order_other", "a device is missing in it")
    if not fresh <= wanted:
        raise RefusedError("order_other", "it names further devices")
