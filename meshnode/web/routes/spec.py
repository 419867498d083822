"""One line of the table of routes: method, path, least role, and what it is for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeAlias

from fastapi import Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from meshnode.web.gate import Asked
from meshnode.web.roles import WebRole

__all__ = ["After", "Caller", "Handler", "Limit", "Route"]

Handler: TypeAlias = Callable[..., Awaitable[Response]]
"""Answers a request that was let through."""


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table."""

    method: str
    """GET, POST or DELETE."""
    path: str
    """With its parameters in braces."""
    least: WebRole
    """Who may use it, and all above."""
    what: str
    """What it gives or does, for the reference page."""
    handler: Handler
    """Answers it."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Fields of the answer beside `schema`: name to kind, such as `list`, `bool`, `text`."""
    errors: tuple[str, ...] = ()
    """Words of the errors that are its own, beside those that every route has."""
    while_locked: bool = False
    """It works on a locked device."""
    is_personal: bool | None = None
    """A program that asks it shows that somebody is there; None for what the method says."""
    media: str = "application/json"
    """Type of the answer."""
    is_bare: bool = False
    """Its fields are those of another standard, without a schema of ours."""
    form: Mapping[str, Any] | None = None
    """What a body holds that is no JSON, as OpenAPI says it."""

    @property
    def shows_presence(self) -> bool:
        """True if the time after which a device locks begins anew when a program asks."""
        return self.method != "GET" if self.is_personal is None else self.is_personal

    @property
    def extra(self) -> dict[str, Any]:
        """What the description of the interface says of it, which the gate reads as well."""
        body = {} if self.form is None else {"requestBody": self.form}
        return body | {
            "x-least-role": self.least.word,
            "x-while-locked": self.while_locked,
            "x-personal": self.shows_presence,
        }


async def _asked(request: Request) -> Asked:
    """Return what the gate found out; a coroutine, or FastAPI would take a thread for it."""
    asked: Asked = request.state.asked
    return asked


Caller: TypeAlias = Annotated[Asked, Depends(_asked)]
"""Who asks, and the node that answers."""
After: TypeAlias = Annotated[int, Query(ge=0, lt=2**63)]
"""The number after which a page begins."""
Limit: TypeAlias = Annotated[int, Query(ge=1, le=1_000)]
"""Rows of one page."""
