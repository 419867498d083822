"""What the doctor shows, and its exit code."""

from __future__ import annotations

import pytest

from tests.meshnode.cli.people import People

pytestmark = pytest.mark.slow


def test_a_healthy_device_is_told_so(squad: People) -> None:
    found = squad.json("alice", "doctor")
    assert found["is_healthy"] is True
    assert all(set(each) == {"name", "level", "sentence", "fix"} for each in found["checks"])
    shown = squad.reads("alice", "doctor").splitlines()
    assert shown[0].split() == ["result", "check", "finding"]
    assert len(shown) == len(found["checks"]) + 1


def test_a_fault_is_named_with_its_cure_and_ends_with_its_code(squad: People) -> None:
    (squad.home("alice") / "identity" / "binding").unlink()
    screen = squad.types("alice", "doctor")
    assert (screen.code, screen.err) == (1, "")
    (line,) = [line for line in screen.out.splitlines() if " identity " in line]
    assert line.startswith("FAULT")
    assert line.endswith("Ask the authority for an invitation, then 'meshnode enrol'.")
    machine = squad.types("alice", "doctor", "--json")
    assert machine.code == 1
    assert '"is_healthy": false' in machine.out


def test_faults_are_named_in_french(squad: People) -> None:
    (squad.home("alice") / "meshnode.toml").write_text("[links]\nlisten = 3\n")
    shown = squad.types("alice", "--lang", "fr", "doctor").out
    (line,) = [line for line in shown.splitlines() if " settings " in line]
    assert line.startswith("PANNE")
    assert "réglage «\u00a0links.listen\u00a0»" in line
    assert "est une liste de textes" in line
    assert "Corrigez meshnode.toml" in line
