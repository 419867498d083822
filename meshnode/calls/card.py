"""The calls about who this device is, and about papers of enrolment that pass by, for `Api`.

A card says who a device is, for a mate who looks at both screens; it proves nothing by itself.
"""

from __future__ import annotations

import hashlib
from typing import Final

from meshnode.calls.base import Calls, Json
from meshnode.directory import DirectoryEntry, UnknownNameError
from meshnode.errors import ControlError
from protocol.armour import TextForm
from protocol.enrolment import (
    decode_answer_untrusted,
    decode_invitation_untrusted,
    decode_request_untrusted,
)
from protocol.errors import MalformedError
from protocol.ids import parse_node_id_untrusted, print_node_id

__all__ = ["CARD_WORD", "CardCalls"]

CARD_WORD: Final = "MESHC1"
"""A card as text starts with this and a colon; the id of the device follows."""
_CODE: Final = b"meshnode card code 1\0"


class CardCalls(Calls):
    """What people may ask of cards and papers."""

    def card(self) -> Json:
        """Return who this device is, for a mate to check. Raises: UnknownNameError."""
        own = self._node.identity.node
        entry = self._node.membership.directory.member(own)
        if entry is None:
            raise UnknownNameError("no roster names this device yet: meet a neighbour first")
        return {
            **self._carded(entry),
            "network": self._node.membership.directory.network_name,
            "text": f"{CARD_WORD}:{print_node_id(own).upper()}",
        }

    def check_card(self, text: str) -> Json:
        """Return what the rosters held here say of the device whose card `text` is.

        Raises: ControlError (`card`) for a text that is no card, UnknownNameError.
        """
        word, _colon, rest = text.strip().partition(":")
        try:
            node = parse_node_id_untrusted(rest if word == CARD_WORD else "")
        except MalformedError as error:
            raise ControlError("card", "this is no card of a device") from error
        entry = self._node.membership.directory.member(node)
        if entry is None:
            raise UnknownNameError("no roster held here names this device: do not trust it")
        directory = self._node.membership.directory
        return {
            **self._carded(entry),
            "is_self": node == self._node.identity.node,
            "is_revoked": node in directory.revoked,
        }

    def _carded(self, entry: DirectoryEntry) -> Json:
        directory = self._node.membership.directory
        names = {each.unit_id: each.name for each in directory.rosters() if each.unit_id}
        digest = hashlib.sha256(_CODE + entry.public_key).digest()
        return {
            **self._who(entry.node),
            "role": entry.role.name.lower(),
            "device": entry.device_class.name.lower(),
            "zone": entry.zone,
            "squads": [names.get(each, each.hex()) for each in entry.squads],
            "code": f"{int.from_bytes(digest, 'big') % 1_000_000:06d}",
        }

    def read_paper(self, text: str) -> Json:
        """Return what a paper of enrolment says to whoever carries it; nothing takes effect.

        Its secret, if it has one, is not among it. Raises: MalformedError, LimitExceededError,
        ControlError (`paper`) for another text.
        """
        word = text.strip().partition(":")[0]
        if word == TextForm.REQUEST.word:
            return {"paper": "request", "code": decode_request_untrusted(text).code}
        if word == TextForm.INVITATION.word:
            invitation = decode_invitation_untrusted(text)
            return {
                "paper": "invitation",
                "name": invitation.name,
                "role": invitation.role.name.lower(),
                "squads": list(invitation.squads),
                "ends_ms": 1000 * invitation.expires_s,
            }
        if word == TextForm.ANSWER.word:
            return {"paper": "answer", "documents": len(decode_answer_untrusted(text).documents)}
        raise ControlError("paper", "this is no invitation, request or answer")
