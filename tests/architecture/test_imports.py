"""Who may import whom: the contracts of pyproject.toml hold, and each is shown to bite."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.rules import PACKAGES
from tests.architecture.tree import ROOT
from tests.environment import unmeasured

FAULTS = [
    ("packages point down", "protocol/hlc.py", "import meshnode.errors"),
    ("packages point down", "meshnode/runtime.py", "import sims"),
    ("protocol is pure", "protocol/hlc.py", "import time"),
    ("protocol is pure", "protocol/session/states.py", "from os import urandom"),
    ("layers inside protocol", "protocol/bundle.py", "from protocol import authority"),
    ("layers inside protocol", "protocol/newcomer.py", '"""A module that no layer names."""'),
    ("layers inside meshnode", "meshnode/store/records.py", "from meshnode.links import base"),
    ("layers inside meshnode", "meshnode/newcomer.py", '"""A module that no layer names."""'),
    ("relays cannot read content", "meshnode/relay.py", "from protocol import envelope"),
    ("relays cannot read content", "meshnode/links/base.py", "import meshnode.store.keyring"),
    ("relays cannot read content", "protocol/bundle.py", "from protocol.chains import *"),
    ("the node knows no screen", "meshnode/relay.py", "import rich.table"),
    (
        "the abstract simulator shares policies, not machinery",
        "sims/abstract/stores.py",
        "from meshnode.store import engine",
    ),
    ("no cycles", "meshnode/errors.py", "import meshnode.relay"),
]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the tree in `folder`."""
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache", "--no-logo"],
        cwd=folder,
        env=unmeasured(COLUMNS="200"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the product in which a fault may be planted."""
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package,
            tmp_path / package,
            ignore=shutil.ignore_patterns("__pycache__", "app", "static"),
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_contracts_hold() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("contract", "path", "line"), FAULTS)
def test_a_planted_fault_is_found(copy: Path, contract: str, path: str, line: str) -> None:
    assert f"{contract} KEPT" in lint(copy).stdout
    with (copy / path).open("a") as file:
        file.write(f"\n{line}\n")
    done = lint(copy)
    assert done.returncode != 0
    assert f"{contract} BROKEN" in done.stdout, done.stdout


def test_every_contract_is_shown_to_bite() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert {name for name, _, _ in FAULTS} == {each["name"] for each in contracts["contracts"]}
