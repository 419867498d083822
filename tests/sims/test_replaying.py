"""The command that repeats a run."""

from __future__ import annotations

import shlex

from sims.faults import NO_FAULTS, Faults, parse_faults
from sims.replaying import replay_command
from sims.world import Links, Sealing


def test_a_usual_run_needs_no_more_than_its_name_and_seed() -> None:
    assert replay_command("two_nodes", 7) == "meshnode-sim replay two_nodes --seed 7"


def test_everything_that_differs_is_said() -> None:
    faults = Faults(crashes=2, loss=0.25)
    found = replay_command("my day.toml", 7, faults=faults, sealing=Sealing.HPKE, links=Links.TLS)
    words = shlex.split(found)
    assert words[:5] == ["meshnode-sim", "replay", "my day.toml", "--seed", "7"]
    assert parse_faults(words[words.index("--faults") + 1]) == faults
    assert words[-4:] == ["--sealer", "hpke", "--links", "tls"]


def test_no_faults_at_all_is_something_to_say() -> None:
    words = shlex.split(replay_command("chaos:3", 3, faults=NO_FAULTS))
    assert parse_faults(words[words.index("--faults") + 1]) == NO_FAULTS
