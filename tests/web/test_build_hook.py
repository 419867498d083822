"""What the screens are built from is known by its hash; without Node.js a build says what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from meshnode.web.app import build_hook
from tests.architecture.tree import ROOT

APP = ROOT / "meshnode" / "web" / "app"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The sources of the screens, with nothing built."""
    made = shutil.ignore_patterns("node_modules", "map", "icons", "__pycache__")
    return Path(shutil.copytree(APP, tmp_path / "app", ignore=made))


def test_a_build_is_fresh_until_a_source_changes(app: Path) -> None:
    assert not build_hook.is_fresh(app)
    static = app.parent / "static"
    static.mkdir()
    (static / build_hook.STAMP).write_text("of something else")
    assert not build_hook.is_fresh(app)
    (static / build_hook.STAMP).write_text(build_hook.hash_of(app))
    assert build_hook.is_fresh(app)
    (app / "src" / "App.tsx").write_text("export {};\n")
    assert not build_hook.is_fresh(app)


def test_without_node_a_build_says_what_to_install(
    app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(app))
    with pytest.raises(build_hook.BuildError, match=r"need Node\.js 20\.19 or newer"):
        build_hook.build(app)


def test_the_lock_of_the_packages_names_no_registry() -> None:
    lock = (APP / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert lock.count('"integrity"') > 20
