"""One small network for all tests of the screens, and one browser for each file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from meshnode.web.statics import STATIC_FOLDER
from tests.web.browser import PHONE, Screen, browser_at, screen_of
from tests.web.town import Town, town_at

Opens = Callable[..., Screen]
"""Opens the screens of a device in a browser of its own."""


EXPECT_MS = 30_000
"""What a test waits for at most, unless it says more."""


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """An operations centre, Alice and Bruno, running, who have met."""
    if not (STATIC_FOLDER / "index.html").is_file():
        pytest.skip("the screens are not built: run make app, which needs Node.js")
    with town_at(tmp_path_factory.mktemp("town"), ["alice", "bruno"]) as town:
        yield town


@pytest.fixture(autouse=True)
def off_duty(request: pytest.FixtureRequest) -> None:
    """Let each test of the town begin with everybody off duty, whatever another test left."""
    if "town" not in request.fixturenames:
        return
    town: Town = request.getfixturevalue("town")
    for name in town.running:
        if name == town.hub or town.json(name, "status")["lock"]["is_locked"]:
            continue
        if town.json(name, "shift", "show")["is_open"]:
            town.json(name, "shift", "close")


@pytest.fixture
def maps_of_alice(town: Town) -> Iterator[Path]:
    """The folder of Alice's maps, which is gone afterwards."""
    folder = town.people.home("alice") / "maps"
    folder.mkdir()
    yield folder
    for each in folder.iterdir():
        each.unlink()
    folder.rmdir()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser, which is given time: other tests keep the cores busy."""
    expect.set_options(timeout=EXPECT_MS)
    with browser_at() as browser:
        yield browser


@pytest.fixture
def opens(town: Town, browser: Browser) -> Iterator[Opens]:
    """Open screens; at the end each must have done nothing wrong."""
    with ExitStack() as stack:

        def opened(name: str, size: dict[str, int] = PHONE, **options: Any) -> Screen:
            screen = stack.enter_context(screen_of(browser, town.url(name), size, **options))
            screen.page.wait_for_selector("nav.menu")
            return screen

        yield opened
