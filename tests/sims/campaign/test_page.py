"""The page on campaigns: its example is read, its tables are whole, its commands exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from distributed.cli import dask_scheduler, dask_worker

from sims.campaign.grid import jobs_of
from sims.campaign.parameters import PARAMETERS
from sims.campaign.reading import read_campaign

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "run-a-campaign.md"


@pytest.mark.slow
def test_the_example_makes_as_many_jobs_as_it_says(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    campaign = read_campaign(example.encode(), "stores", tmp_path)
    assert campaign.source.name == "queyras_squads"
    assert f"= {len(jobs_of(campaign))} jobs" in PAGE.read_text()


def test_every_parameter_is_told() -> None:
    told = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert tuple(told) == PARAMETERS


@pytest.mark.parametrize("name", ["scheduler", "worker"])
def test_the_commands_of_a_cluster_exist(name: str) -> None:
    (line,) = re.findall(rf"^\$ dask {name} (.*)$", PAGE.read_text(), re.MULTILINE)
    main = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}[name]
    known = {each for option in main.params for each in (*option.opts, *option.secondary_opts)}
    options = {word for word in shlex.split(line) if word.startswith("--")}
    assert options
    assert options <= known
