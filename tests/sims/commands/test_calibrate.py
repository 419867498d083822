"""`meshnode-sim calibrate`: both simulators side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sims.cli import execute

pytestmark = pytest.mark.slow

SCENARIO = """
about = "Two meet, and one writes to the other."
duration_s = 3000

[[device]]
name = "gateway"
role = "gateway"

[[device]]
name = "anna"

[[device]]
name = "bruno"

[[contact]]
start_s = 0
end_s = 600
a = "anna"
b = "gateway"

[[contact]]
start_s = 1
end_s = 600
a = "bruno"
b = "gateway"

[[contact]]
start_s = 1500
end_s = 1800
a = "anna"
b = "bruno"

[[message]]
at_s = 1000
from = "anna"
to = "bruno"
text = "the bridge is gone"
"""


def test_both_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "meeting.toml"
    path.write_text(SCENARIO)
    assert execute(["calibrate", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told)[:4] == ["schema", "scenario", "seed", "seeds"]
    assert (told["messages"], told["real_share"], told["abstract_share"]) == (1, 1.0, 1.0)
    assert told["differences"] == 0
    assert told["abstract_median_s"] == pytest.approx(told["real_median_s"], rel=0.05)
    assert execute(["calibrate", str(path)]) == 0
    assert "abstract share" in capsys.readouterr().out


def test_what_only_real_nodes_can_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["calibrate", "queyras_squads"]) == 2
    assert "region" in capsys.readouterr().err
