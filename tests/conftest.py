"""What every test gets: Hypothesis profiles, and the rule that nothing is skipped in CI."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Generator, Mapping
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile(
    "ci",
    max_examples=100,
    deadline=None,
    # A change is judged by the same draws as the one before; others are drawn at night.
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "night", max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

NOTHING_IS_SKIPPED = any(os.environ.get(name) for name in ("MESHNODE_CI", "CI"))
"""A machine that checks for others has every part; a skipped test there checked nothing."""


REPEATING_FOLDERS = (
    "tests/architecture/",
    "tests/benchmarks/",
    "tests/faults/",
    "tests/fuzz/",
    "tests/meshnode/cli/test_cli_authority.py",
    "tests/meshnode/links/test_serial_session.py",
    "tests/meshnode/store/test_against_reference.py",
    "tests/meshnode/test_broken_contacts.py",
    "tests/meshnode/test_damaged_rows.py",
    "tests/meshnode/test_network_keys.py",
    "tests/meshnode/test_order_of_service.py",
    "tests/meshnode/test_revoked_authors.py",
    "tests/meshnode/test_shift_machine.py",
    "tests/properties/",
    "tests/real/",
    "tests/security/",
    "tests/sims/abstract/test_against_reference.py",
    "tests/sims/abstract/test_made_up_regions.py",
    "tests/sims/abstract/test_properties.py",
    "tests/sims/abstract/test_rules.py",
    "tests/sims/campaign/test_runner.py",
    "tests/sims/test_air.py",
    "tests/sims/test_alarms.py",
    "tests/sims/test_duty.py",
    "tests/sims/test_files_scenario.py",
    "tests/sims/test_group_chat.py",
    "tests/sims/test_instruments.py",
    "tests/sims/test_replay_page.py",
    "tests/sims/test_satellite_scenario.py",
    "tests/sims/test_simulation_tutorial.py",
    "tests/sims/test_soak.py",
    "tests/sims/test_two_zones.py",
    "tests/sims/test_uplink_scenario.py",
    "tests/sims/test_world.py",
    "tests/sims/test_world_faults.py",
    "tests/web/",
)
"""What is marked `repeating`: measuring which lines these reach would double their time.

Tests by Hypothesis are marked so, too: hundreds of draws go through the same lines, and what a
floor is compared with shall not depend on what was drawn.

The simulator of regions is compiled, and what is compiled shows no lines: they are seen where
`tests/sims/abstract/test_interpreted.py` runs the rules without the compiler.
"""
FIRST_FOLDERS = (
    "tests/benchmarks/",
    "tests/contracts/",
    "tests/faults/test_commit_steps.py",
    "tests/faults/test_enrolment_steps.py",
    "tests/faults/test_keystore_steps.py",
    "tests/faults/test_kill_node.py",
    "tests/faults/test_wipe_steps.py",
    "tests/fuzz/",
    "tests/meshnode/discovery/",
    "tests/meshnode/links/",
    "tests/meshnode/services/",
    "tests/meshnode/test_",
    "tests/properties/",
    "tests/protocol/",
    "tests/security/",
)
"""What is marked `first`: about half of what keeps a core busy, so that no lane is too long."""
ALONE_FOLDERS = (
    "tests/benchmarks/test_world_speed.py",
    "tests/faults/test_enrolment_steps.py",
    "tests/faults/test_keystore_steps.py",
    "tests/faults/test_kill_node.py",
    "tests/faults/test_wipe_steps.py",
    "tests/security/test_positions.py",
    "tests/security/test_relays_cannot_read.py",
    "tests/sims/",
)
"""Their processes meet nobody on a network, so they run beside real parts."""
_OPERATORS = frozenset({"and", "or", "not"})


@cache
def known_marks(folder: Path, name: str) -> Mapping[str, bool]:
    """Return which of the marks given here all tests of the file `name` have, and which none has.

    What is not in it can only be told by reading the tests.
    """
    text = (folder / name).read_text(encoding="utf-8")
    known = {"first": name.startswith(FIRST_FOLDERS)}
    if name.startswith(REPEATING_FOLDERS):
        known["repeating"] = True
    elif "hypothesis" not in text:
        known["repeating"] = False
    if name.startswith(ALONE_FOLDERS) or "mark.real" not in text:
        known["meeting"] = False
    return known


def may_choose(expression: str, known: Mapping[str, bool]) -> bool:
    """Return whether some test with these marks, whatever its others, is chosen by `-m`."""
    if not expression or re.search(r"[^\w\s()]", expression):
        return True
    names = set(re.findall(r"\w+", expression)) - _OPERATORS
    unknown = sorted(names - set(known))
    return any(
        eval(expression, {"__builtins__": {}}, {**known, **dict(zip(unknown, drawn, strict=True))})
        for drawn in product((False, True), repeat=len(unknown))
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no file none of whose tests is chosen: of these processes each needs a part of all."""
    folder = config.rootpath
    if not re.fullmatch(r"test_\w+\.py", collection_path.name):
        return None
    if collection_path in {folder / each.partition("::")[0] for each in config.args}:
        return None
    name = collection_path.relative_to(folder).as_posix()
    return None if may_choose(config.option.markexpr, known_marks(folder, name)) else True


def pytest_collection(session: pytest.Session) -> None:
    """Look for no garbage while seven thousand tests are found: none of them is any."""
    gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Set aside all tests and modules, which are no garbage, and look for some less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their folders, before the marks choose."""
    for item in items:
        is_drawn = is_hypothesis_test(getattr(item, "obj", None))
        if is_drawn or item.nodeid.startswith(REPEATING_FOLDERS):
            item.add_marker("repeating")
        if item.nodeid.startswith(FIRST_FOLDERS):
            item.add_marker("first")
        if item.get_closest_marker("real") and not item.nodeid.startswith(ALONE_FOLDERS):
            item.add_marker("meeting")
        for mark, has_it in known_marks(
            item.config.rootpath, item.nodeid.partition("::")[0]
        ).items():
            # Where this fails, some process leaves out a file and with it this test.
            assert bool(item.get_closest_marker(mark)) is has_it, (item.nodeid, mark)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one where nothing may be skipped."""
    report = yield
    if NOTHING_IS_SKIPPED and report.skipped and not hasattr(report, "wasxfail"):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a skipped file into a failed one where nothing may be skipped."""
    report = yield
    if NOTHING_IS_SKIPPED and report.skipped:
        _fail(report)
    return report


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"skipped where nothing may be skipped: {reason}"
