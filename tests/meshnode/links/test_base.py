"""Addresses as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.errors import LinkError
from meshnode.links.base import Address, parse_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("boat.local", "boat.local", 7445),
        (" 10.0.0.7 ", "10.0.0.7", 7445),
        ("10.0.0.7:80", "10.0.0.7", 80),
        ("fe80::1%wlan0", "fe80::1%wlan0", 7445),
        ("[fe80::1%wlan0]:99", "fe80::1%wlan0", 99),
        ("[::1]", "::1", 7445),
        ("::1", "::1", 7445),
        ("boat:65535", "boat", 65_535),
        ("boat:", "boat", 7445),
    ],
)
def test_addresses_that_people_write(text: str, host: str, port: int) -> None:
    assert parse_address(text, 7445) == Address(host, port)


@pytest.mark.parametrize(
    "text",
    ["", ":80", "boat:0", "boat:65536", "boat:http", "[::1", "[::1]x", "a b", "a/b", "a:b:c"],
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(LinkError):
        parse_address(text, 7445)


@given(st.ip_addresses().map(str), st.integers(1, 65_535))
def test_what_is_printed_is_read_back(host: str, port: int) -> None:
    address = Address(host, port)
    assert parse_address(str(address), 1) == address


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_an_error(text: str) -> None:
    try:
        address = parse_address(text, 7445)
    except LinkError:
        return
    assert address.host
    assert 1 <= address.port <= 65_535
