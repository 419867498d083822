"""The page on routing has the constants of the policy, and every policy there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from protocol.routing import gain, waits
from sims.abstract.records import PolicyName

PAGE: Final = Path(__file__).parents[2] / "docs" / "explanation" / "routing.md"


def test_it_has_every_constant_with_its_value() -> None:
    text = PAGE.read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `([A-Z_]+)` \| ([\d.,]+) \|", text, re.MULTILINE))
    known = {**vars(gain), "FADING": waits.FADING}
    numbers = {
        name: f"{value:,.10g}"
        for name, value in known.items()
        if name.isupper() and name[0] != "_" and isinstance(value, int | float)
    }
    del numbers["HOPS_MAX"], numbers["LEVELS"]
    assert told == numbers


def test_it_has_every_policy() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in PolicyName if f"\n| `{name}` | " not in text] == []
