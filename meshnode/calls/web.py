"""The calls about the screens of a node, in plain values; `Api` has them beside its own.

The screens stand above all calls, so the node's side of them is the door that they hang in.
"""

from __future__ import annotations

from typing import Protocol

from meshnode.calls.base import Calls, Json
from meshnode.errors import ControlError

__all__ = ["WebCalls", "WebDoor"]


class WebDoor(Protocol):
    """Lets people and programs in to the screens of a running node."""

    def open(self) -> Json:
        """See `WebCalls.web_open`."""
        ...

    def close(self) -> int:
        """See `WebCalls.web_close`."""
        ...

    async def add_token(self, name: str, role: str, days: int) -> Json:
        """See `WebCalls.web_token_add`."""
        ...

    def tokens(self) -> list[Json]:
        """See `WebCalls.web_tokens`."""
        ...

    async def revoke_token(self, name: str) -> bool:
        """See `WebCalls.web_token_revoke`."""
        ...


class WebCalls(Calls):
    """What people may ask of who may use the screens."""

    door: WebDoor | None = None
    """None where this node has no screens."""

    async def web_open(self) -> Json:
        """Return an address that signs a browser in, once and within minutes.

        Raises: ControlError (`no_web`), WebError while the screens cannot be served.
        """
        return self._door().open()

    async def web_close(self) -> int:
        """Sign every browser out; return how many there were. Raises: ControlError (`no_web`)."""
        return self._door().close()

    async def web_token_add(self, name: str, role: str, days: int = 365) -> Json:
        """Make a token for a program; what is returned here is shown nowhere again.

        The audit log says that one was made: with an operator's, somebody may confirm an order.
        Raises: WebError, ControlError (`no_web`), StoreError.
        """
        made = await self._door().add_token(name, role, days)
        self._node.audit.note("web_token_added")
        await self._node.audit.flush()
        return made

    async def web_tokens(self) -> list[Json]:
        """Return the tokens by name, without what they are. Raises: ControlError (`no_web`)."""
        return self._door().tokens()

    async def web_token_revoke(self, name: str) -> bool:
        """End a token now; False if there is none.

        Raises: WebError, ControlError (`no_web`), StoreError.
        """
        is_new = await self._door().revoke_token(name)
        if is_new:
            self._node.audit.note("web_token_revoked")
            await self._node.audit.flush()
        return is_new

    def _door(self) -> WebDoor:
        if self.door is None:
            raise ControlError(
                "no_web", "no screens run here: start the node with 'meshnode run --web'"
            )
        return self.door
