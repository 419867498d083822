"""What users install: one wheel that holds every module, the migrations and the catalogues."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.architecture.rules import PACKAGES
from tests.architecture.tree import ROOT
from tests.environment import unmeasured

pytestmark = [pytest.mark.slow, pytest.mark.real]

SOURCES = "meshnode/web/app/"
"""What the screens are built from stays out; what was built lies in meshnode/web/static."""
DATA_SUFFIXES = {".py", ".mako", ".json", ".typed", ".toml", ".service"}


def pip(*arguments: str) -> None:
    """Run pip without a network."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments, "--no-index", "--quiet", "--no-deps"],
        env=unmeasured(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_CACHE_DIR="1"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of the tree as it stands."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    (path,) = folder.glob("meshnode-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--target", str(folder), str(wheel))
    return folder


def test_every_file_of_the_product_is_in_the_wheel(wheel: Path) -> None:
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in DATA_SUFFIXES and "__pycache__" not in path.parts
        if not path.relative_to(ROOT).as_posix().startswith(SOURCES)
    }
    assert any("/migrations/versions/" in name for name in expected)
    assert expected <= set(zipfile.ZipFile(wheel).namelist())


def test_nothing_else_is_in_the_wheel(wheel: Path) -> None:
    folders = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in folders if not name.endswith(".dist-info")} == set(PACKAGES)


def test_the_installed_packages_are_imported_from_where_they_lie(installed: Path) -> None:
    code = "import protocol, meshnode.cli.main, sims.cli; print(protocol, meshnode, sims)"
    printed = run(installed, "-c", code)
    assert printed.count(str(installed)) == len(PACKAGES), printed
    assert str(ROOT) not in printed


def test_the_commands_start(installed: Path) -> None:
    (entry_points,) = installed.glob("meshnode-*.dist-info/entry_points.txt")
    parsed = ConfigParser()
    parsed.read(entry_points)
    scripts = dict(parsed["console_scripts"])
    assert set(scripts) == {"meshnode", "meshnode-sim"}
    for name, target in scripts.items():
        module, function = target.split(":")
        code = f"import sys; sys.argv = ['{name}', '--help']; import {module} as m; m.{function}()"
        assert "Usage" in run(installed, "-c", code)


def test_an_installed_store_makes_its_tables(installed: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from meshnode.store.database import open_database;"
        f"open_database(Path({str(tmp_path / 'store.sqlite')!r})).close()"
    )
    run(installed, "-c", code)
    assert (tmp_path / "store.sqlite").stat().st_size > 0


def run(folder: Path, *arguments: str) -> str:
    """Run Python as a user of the installed wheel would; return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=unmeasured(PYTHONPATH=str(folder), LC_ALL="C.UTF-8"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
