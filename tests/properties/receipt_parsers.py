"""Rows of the table for receipts and requests for keys."""

from __future__ import annotations

from protocol import receipts
from tests.properties.table import Parser

RECEIPT = receipts.encode_receipt(receipts.Receipt(7, 0, ((1, 3), (5, 1)), bytes(8)))
_FIXED_BYTES = 13
"""Before the numbers of a receipt."""

RECEIPT_PARSERS = (
    Parser("receipts.decode_receipt_untrusted", receipts.decode_receipt_untrusted, (RECEIPT,)),
    Parser("receipts._numbers_untrusted", receipts._numbers_untrusted, (RECEIPT[_FIXED_BYTES:],)),
    Parser(
        "receipts._runs_untrusted",
        lambda raw: receipts._runs_untrusted([1 + each for each in raw]),
        (bytes([0, 2, 0, 0]),),
    ),
    Parser(
        "receipts.decode_key_request_untrusted",
        receipts.decode_key_request_untrusted,
        (receipts.encode_key_request(receipts.KeyRequest((b"chain-id", b"chain-i2"))),),
    ),
)
