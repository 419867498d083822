"""Readers of the papers by which a further zone joins a network."""

from __future__ import annotations

from typing import Any, cast

from meshnode import explain
from protocol import documents, zones
from protocol.armour import TextForm
from protocol.canonical import encode
from protocol.errors import (
    AuthenticationError,
    LimitExceededError,
    MalformedError,
    WeakKeyError,
)
from tests.properties.parsers import of_armoured, of_value
from tests.properties.table import Parser, value_of
from tests.properties.units import of_ascii
from tests.protocol.test_zones import answer, request

__all__ = ["ZONE_PARSERS"]

PAPER = (MalformedError, LimitExceededError, AuthenticationError, WeakKeyError)
KEYS = (MalformedError, LimitExceededError, WeakKeyError)
REQUEST, ANSWER = request(), answer(request())
OUTER = encode([REQUEST.inner, REQUEST.signature])
SIGNERS = cast(tuple[Any, ...], value_of(REQUEST.inner))[5]

ZONE_PARSERS: tuple[Parser, ...] = (
    Parser(
        "documents._zones_untrusted",
        of_value(
            lambda value: documents._zones_untrusted(value, documents.DocumentClass.ROSTER, 2)
        ),
        (encode([7, 0]),),
    ),
    Parser(
        "zones.decode_zone_request_untrusted",
        of_armoured(TextForm.ZONE_REQUEST, zones.decode_zone_request_untrusted),
        (OUTER,),
        PAPER,
    ),
    Parser(
        "zones.decode_zone_answer_untrusted",
        of_armoured(TextForm.ZONE_ANSWER, zones.decode_zone_answer_untrusted),
        (ANSWER.raw,),
    ),
    Parser("zones._answer_untrusted", zones._answer_untrusted, (ANSWER.raw,)),
    Parser(
        "zones._signers_untrusted", of_value(zones._signers_untrusted), (encode(SIGNERS),), KEYS
    ),
    Parser("zones._pair_untrusted", of_value(zones._pair_untrusted), (encode(SIGNERS[0]),), KEYS),
    Parser(
        "meshnode.explain.zone_request_untrusted",
        of_ascii(TextForm.ZONE_REQUEST, explain.zone_request_untrusted),
        (OUTER,),
        PAPER,
    ),
    Parser(
        "meshnode.explain.zone_answer_untrusted",
        of_ascii(TextForm.ZONE_ANSWER, explain.zone_answer_untrusted),
        (ANSWER.raw,),
    ),
)
