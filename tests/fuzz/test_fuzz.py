"""The fuzzing itself: it reaches every parser, sees what it should see, and fails when it must."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from protocol import bundle
from protocol.errors import AuthenticationError, MalformedError, MeshError
from tests.fuzz import run
from tests.fuzz.forgeries import Forgery, Thing, attack, things
from tests.fuzz.fuzz_untrusted import fuzz_plainly
from tests.fuzz.mutators import Mutator
from tests.fuzz.targets import (
    CHOICE_BYTES,
    DEAR,
    DEAR_SHARE,
    GROUPS,
    Group,
    group_of,
    groups,
    vectors,
)
from tests.properties.node_parsers import ALL_PARSERS
from tests.properties.table import Parser

ROOT = Path(__file__).resolve().parents[2]
ALL = groups()
SIGNED = things()
RUNS = 1_500
MUTANTS = 1_000


# --- groups ----------------------------------------------------------------------------------


def test_every_parser_is_in_one_group_and_every_group_has_some() -> None:
    found = [parser for group in ALL.values() for parser in group.parsers]
    assert sorted(parser.name for parser in found) == sorted(each.name for each in ALL_PARSERS)
    assert list(ALL) == list(GROUPS)
    assert all(group.parsers for group in ALL.values())


def test_what_nobody_placed_is_fuzzed_among_the_others() -> None:
    assert group_of("a_module_to_come.read_untrusted") == "others"
    assert group_of("meshnode.explain.bundle_untrusted") == "bundles"
    assert group_of("meshnode.explain.answer_untrusted") == "papers"


@pytest.mark.parametrize("name", GROUPS)
def test_each_parser_is_chosen_by_some_input(name: str) -> None:
    group = ALL[name]
    chosen = {id(group.parser(data)) for data in group.inputs()}
    assert chosen == {id(parser) for parser in group.parsers}
    by_chance = {id(group.parser(number.to_bytes(2, "big"))) for number in range(1_000)}
    assert by_chance == chosen


@pytest.mark.parametrize("name", ["frames", "session states", "others"])
def test_a_dear_parser_keeps_an_eighth_of_what_is_made_for_it(name: str) -> None:
    group = ALL[name]
    named = [parser.name for parser in group.tickets]
    dear = [number for number, each in enumerate(named) if each in DEAR]
    tries = DEAR_SHARE * len(named)
    for number in dear:
        data = number.to_bytes(CHOICE_BYTES, "big") + b"content"
        steered = [group.steered(data, seed) for seed in range(tries)]
        assert steered.count(data) == tries // DEAR_SHARE
        assert {each[CHOICE_BYTES:] for each in steered} == {b"content"}
        reached = {group.parser(each).name for each in steered}
        assert reached == {*named} - {*DEAR} | {named[number]}
    assert dear
    others = [each for each in group.inputs() if group.parser(each).name not in DEAR]
    assert [group.steered(each, 5) for each in others] == others
    assert group.steered(b"\0", 5) == b"\0"


def test_vectors_give_inputs_of_their_kind() -> None:
    accepted = 0
    for raw in vectors("bundles"):
        try:
            bundle.decode_untrusted(raw)
        except MeshError:
            continue
        accepted += 1
    assert accepted > 10
    assert any(raw.startswith(b"MESH") for raw in vectors("papers"))


# --- without the fuzzer ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", GROUPS)
def test_no_input_breaks_a_parser(name: str) -> None:
    group = ALL[name]
    assert fuzz_plainly(group, RUNS, seed=2) == RUNS


def test_a_parser_that_breaks_is_found_and_its_input_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(data: bytes) -> None:
        if data.count(0xDD):
            raise IndexError
        raise MalformedError("as usual")

    monkeypatch.chdir(tmp_path)
    parser = Parser("planted", breaks, (b"harmless seed",))
    group = Group("planted", (parser,), (parser,))
    with pytest.raises(IndexError):
        fuzz_plainly(group, 5_000)
    (kept,) = tmp_path.iterdir()
    with pytest.raises(IndexError):
        group.run(kept.read_bytes())


def test_one_seed_makes_one_sequence_of_inputs() -> None:
    seeds = ALL["bundles"].inputs()

    def sequence(seed: int) -> list[bytes]:
        mutator = Mutator(seed)
        return [mutator.mutate(each, seeds) for each in seeds[:200]]

    assert sequence(5) == sequence(5) != sequence(6)


def test_half_of_what_is_nudged_keeps_its_form() -> None:
    mutator, (original, *_) = Mutator(1), SIGNED["bundle"].originals
    reached = 0
    for _ in range(400):
        try:
            bundle.decode_untrusted(mutator.nudge(original))
        except MeshError:
            continue
        reached += 1
    assert reached > 200


# --- forgeries -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", SIGNED)
def test_no_change_of_what_is_signed_is_accepted(name: str) -> None:
    attack(SIGNED[name], MUTANTS, seed=3)


@pytest.mark.parametrize("name", SIGNED)
def test_the_originals_are_accepted(name: str) -> None:
    thing = SIGNED[name]
    for raw in thing.originals:
        thing.check(raw)


@pytest.mark.parametrize("name", SIGNED)
def test_only_what_is_listed_here_has_two_forms(name: str) -> None:
    """Where all bytes are authenticated, not even a copy that says the same is accepted."""
    thing = SIGNED[name]
    accepted = attack(thing, 200, seed=4)
    if name not in ("document", "badge", "link certificate"):
        assert thing.says is bytes
        assert accepted == 0


def test_a_check_that_looks_away_is_found() -> None:
    def careless(raw: bytes) -> object:
        # Forgets the last field: one byte outside the signature is enough.
        read = bundle.decode_untrusted(raw)
        if read.header.seq != 1:
            raise AuthenticationError("another bundle")
        return read

    bent = Thing(SIGNED["bundle"].originals[:1], careless)
    with pytest.raises(Forgery):
        attack(bent, 1_000)


# --- the whole run ---------------------------------------------------------------------------


def test_the_list_of_jobs_names_everything_once() -> None:
    listed = run.jobs(7, 5, is_guided=True)
    assert sorted(job.name for job in listed) == sorted(
        [*GROUPS, *(f"forged: {name}" for name in SIGNED)]
    )
    assert {job.runs for job in listed} == {7, 5}


@pytest.mark.real
@pytest.mark.slow
def test_a_job_that_ran_too_little_or_broke_is_told() -> None:
    good = next(job for job in run.jobs(1, 40, is_guided=False) if "binding" in job.name)
    assert run.perform(good).is_good
    assert run.perform(good).done == 40
    assert not run.perform(replace(good, runs=41)).is_good
    assert not run.perform(replace(good, arguments=("-c", "raise SystemExit(3)"))).is_good


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.skipif(
    sys.version_info >= (3, 14) or importlib.util.find_spec("atheris") is None,
    reason="the coverage-guided fuzzer exists for Linux and Python below 3.14",
)
def test_the_guided_fuzzer_runs_and_finds_a_planted_break(tmp_path: Path) -> None:
    group = tmp_path / "planted.py"
    group.write_text(_PLANTED, encoding="utf-8")
    for number, word in enumerate((b"HELLO-", b"no such thing")):
        ended = subprocess.run(
            [sys.executable, str(group), f"-seed={Random(number).getrandbits(16)}"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "PLANTED": word.decode()},
            capture_output=True,
            text=True,
            check=False,
        )
        is_found = "Uncaught Python exception" in ended.stdout + ended.stderr
        assert is_found is (number == 0), ended.stderr[-2_000:]


_PLANTED = """
import os, sys
from tests.fuzz import fuzz_untrusted, targets
from tests.properties.table import Parser
word = os.environ["PLANTED"].encode()
def breaks(data):
    if data.startswith(word):
        raise IndexError("planted")
parser = Parser("planted", breaks, (b"HELL", b"HELLO-world"))
group = targets.Group("planted", (parser,), (parser,))
targets.groups = lambda: {"planted": group}
fuzz_untrusted.main(["planted", "-runs=3000", *sys.argv[1:]])
"""
