"""Bounds stand in a sensible relation, carry their unit, and say why they are what they are."""

from __future__ import annotations

import ast
import inspect
import re
from itertools import pairwise
from pathlib import Path

from protocol import guards, limits
from protocol.bundle import Header, Scope, Suite
from protocol.limits import CLASS_RULES, KINDS, ClassRule, Kind, KindRule, TrafficClass
from protocol.payloads import Sos, encode

NUMBERS = {
    name: value
    for module in (limits, guards)
    for name, value in vars(module).items()
    if name.isupper() and not name.startswith("_") and isinstance(value, int)
}
DAY_S = 86_400


def test_every_bound_is_public_and_positive() -> None:
    for module in (limits, guards):
        names = {name for name in vars(module) if name[0].isupper()} - {"Final", "IntEnum"}
        assert names == set(module.__all__)
    assert all(value > 0 for value in NUMBERS.values())


def test_every_constant_is_followed_by_its_reason() -> None:
    bodies = [ast.parse(inspect.getsource(module)).body for module in (limits, guards)]
    for statement, following in [pair for body in bodies for pair in pairwise(body)]:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            if statement.target.id.startswith("_"):
                continue
            is_text = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            assert is_text, statement.target.id


def test_times_bytes_and_shares_have_their_unit_in_the_name() -> None:
    for name, value in NUMBERS.items():
        if value >= 86_400_000 and not re.search(r"_(BYTES|DEFAULT|MS|S)(_|$)", name):
            raise AssertionError(f"{name} = {value} looks like bytes or a time without a unit")


def test_a_frame_holds_a_bundle_and_a_bundle_its_parts() -> None:
    # Hop count before the container; three tags and lengths, and the signature, around the parts.
    assert limits.BUNDLE_BYTES_MAX + 1 <= limits.FRAME_BYTES_MAX
    framing = 1 + 2 + 3 + 2
    parts = limits.HEADER_BYTES_MAX + limits.BODY_BYTES_MAX + 64
    assert framing + parts <= limits.BUNDLE_BYTES_MAX
    assert limits.DOCUMENT_BYTES_MAX <= limits.FRAME_BYTES_MAX
    assert limits.PREKEY_BUNDLE_BYTES_MAX < limits.BUNDLE_BYTES_MAX


def test_the_longest_header_has_the_length_that_its_bound_states() -> None:
    header = Header(
        Suite.CLEAR,
        Kind.TEXT,
        b"\xff" * 16,
        2**32 - 1,
        2**64 - 1,
        2**64 - 1,
        limits.LIFETIME_S_MAX,
        Scope.for_device(65_535, b"\xff" * 16),
        b"\xff" * 8,
        2**32 - 1,
    )
    assert len(header.encode()) == 85 <= limits.HEADER_BYTES_MAX


def test_the_longest_text_is_far_below_a_bundle() -> None:
    text = "x" * limits.TEXT_BYTES_MAX
    payload = encode(Sos(bytes(16), bytes(19), text, bytes(8), 15))
    assert len(payload) + 4_096 < limits.BODY_BYTES_MAX


def test_every_kind_has_a_class_and_fits_it() -> None:
    assert set(KINDS) == set(Kind)
    assert set(CLASS_RULES) == set(TrafficClass)
    for rule in KINDS.values():
        assert isinstance(rule, KindRule)
        assert 0 < rule.lifetime_s <= CLASS_RULES[rule.traffic_class].lifetime_s_max
    for bounds in CLASS_RULES.values():
        assert isinstance(bounds, ClassRule)
        assert 0 < bounds.store_share_pct <= 100
        assert bounds.lifetime_s_max <= limits.LIFETIME_S_MAX


def test_kinds_are_those_of_the_wire_format() -> None:
    page = Path(limits.__file__).parents[1] / "docs" / "reference" / "wire-format.md"
    rows = re.findall(
        r"^\| (\d+) \| ([a-z ]+) \| (sos|message|state|bulk) \| (yes|no) \|$",
        page.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert len(rows) == len(Kind)
    for number, name, traffic_class, supersedes in rows:
        kind = Kind(int(number))
        assert kind.name == name.upper().replace(" ", "_")
        assert KINDS[kind].traffic_class is TrafficClass[traffic_class.upper()]
        assert KINDS[kind].supersedes is (supersedes == "yes")


def test_lifetimes_are_those_of_the_wire_format() -> None:
    days = {"SOS": 7, "MESSAGE": 90, "STATE": 7, "BULK": 30}
    for name, count in days.items():
        assert CLASS_RULES[TrafficClass[name]].lifetime_s_max == count * DAY_S


def test_authority_and_sos_are_never_evicted_and_keep_a_share() -> None:
    kept = [cls for cls, rule in CLASS_RULES.items() if rule.eviction_rank == -1]
    assert kept == [TrafficClass.AUTHORITY, TrafficClass.SOS]
    for cls, rule in CLASS_RULES.items():
        is_reserved = rule.store_share_pct <= 100 - limits.STORE_RESERVE_PCT
        assert is_reserved is (cls not in kept)
    ranks = [rule.eviction_rank for cls, rule in CLASS_RULES.items() if cls not in kept]
    assert len(set(ranks)) == len(ranks)


def test_keys_outlive_what_they_open() -> None:
    assert limits.PREKEY_RENEW_MS < limits.PREKEY_END_MS < limits.PREKEY_ERASE_MS
    assert KINDS[Kind.PREKEY].lifetime_s * 1_000 <= limits.PREKEY_END_MS
    assert KINDS[Kind.CHAIN_KEYS].lifetime_s * 1_000 <= limits.PREKEY_END_MS
    assert limits.RECEIVED_KEEP_MS > limits.LIFETIME_S_MAX * 1_000


def test_waits_grow_and_windows_nest() -> None:
    assert limits.BACKOFF_FIRST_MS < limits.BACKOFF_MS_MAX
    assert limits.SESSION_PING_MS * 2 < limits.SESSION_IDLE_MS_MAX
    assert limits.WINDOW_BYTES_MIN < limits.WINDOW_BYTES_FIRST < limits.WINDOW_BYTES_MAX
    assert limits.CLOCK_DRIFT_MS_MAX < limits.CLOCK_HOLD_MS_MAX
    assert limits.FRAME_BYTES_MAX <= limits.WINDOW_BYTES_MIN
