"""The unit says what this installation is, and systemd itself finds nothing wrong with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from meshnode.errors import HomeError
from meshnode.service_unit import unit_text

PROGRAM = Path(sys.executable)
STATE = Path("/var/lib/meshnode/home")


def settings_of(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


def test_it_runs_this_home_by_this_program() -> None:
    found = dict(settings_of(unit_text(PROGRAM, STATE, "root")))
    assert found["ExecStart"] == f"{PROGRAM} -m meshnode --home {STATE} run --log json"
    assert (found["Type"], found["Restart"]) == ("notify", "always")
    assert int(found["WatchdogSec"]) == 180
    assert (found["DynamicUser"], found["StateDirectory"]) == ("yes", "meshnode")
    assert "User" not in found


def test_a_home_elsewhere_is_run_by_its_owner(tmp_path: Path) -> None:
    found = dict(settings_of(unit_text(PROGRAM, Path("/srv/mesh"), "anna")))
    assert (found["User"], found["ReadWritePaths"]) == ("anna", "/srv/mesh")
    assert "DynamicUser" not in found
    with pytest.raises(HomeError, match="belongs to root"):
        unit_text(PROGRAM, tmp_path, "root")
    with pytest.raises(HomeError, match="cannot stand in a unit"):
        unit_text(PROGRAM, Path("/srv/a\nExecStart=/bin/sh"), "anna")


def test_words_are_quoted_as_systemd_reads_them() -> None:
    found = dict(settings_of(unit_text(PROGRAM, Path('/srv/a b%h$x"y'), "anna")))
    assert found["ReadWritePaths"] == '"/srv/a b%%h$x\\"y"'
    assert '--home "/srv/a b%%h$$x\\"y" run' in found["ExecStart"]


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(("home", "owner"), [(STATE, "x"), (Path("/srv/a b%h"), "daemon")])
def test_systemd_finds_nothing_wrong(tmp_path: Path, home: Path, owner: str) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        if os.environ.get("MESHNODE_CI"):
            pytest.fail("systemd-analyze is missing: install the Debian package systemd")
        pytest.skip("needs systemd-analyze, of the Debian package systemd")
    unit = tmp_path / "meshnode.service"
    unit.write_text(unit_text(PROGRAM, home, owner))
    verify = [program, "verify", "--man=no", str(unit)]
    done = subprocess.run(verify, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # That the tool would say something: one wrong word.
    unit.write_text(unit_text(PROGRAM, home, owner).replace("Restart=always", "Restart=perhaps"))
    assert "restart specifier" in subprocess.run(verify, capture_output=True, text=True).stderr
