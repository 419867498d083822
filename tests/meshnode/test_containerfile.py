"""The Containerfile is well-formed: a test has no registry of images, so it is held by reading."""

from __future__ import annotations

import json
import re
from itertools import takewhile
from pathlib import Path

import meshnode
from meshnode.cli.main import app
from meshnode.config import WEB_ADDRESS
from meshnode.discovery.base import DEFAULT_PORT

ROOT = Path(meshnode.__file__).parents[1]
FILE = Path(meshnode.__file__).parent / "deploy" / "Containerfile"
KNOWN = {
    *("FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME"),
    *("EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
}


def instructions() -> list[tuple[str, str]]:
    lines = [line for line in FILE.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [
        (word, rest)
        for word, _, rest in (line.partition(" ") for line in joined.split("\n"))
        if word
    ]


def last(word: str) -> str:
    return [rest for name, rest in instructions() if name == word][-1]


def test_every_instruction_is_known_and_has_words() -> None:
    found = instructions()
    assert found[0][0] == "FROM"
    assert {name for name, _rest in found} <= KNOWN
    assert all(rest.strip() for _name, rest in found)


def test_images_are_short_names_of_slim_pythons_that_the_package_takes() -> None:
    for name, rest in instructions():
        if name == "FROM":
            assert re.fullmatch(r"python:3\.\d+-slim( AS \w+)?", rest), rest


def test_what_is_copied_is_in_the_tree_or_in_an_earlier_stage() -> None:
    stages = {rest.split(" AS ")[1] for name, rest in instructions() if " AS " in rest}
    for name, rest in instructions():
        if name != "COPY":
            continue
        *sources, _target = rest.split()
        if sources[0].startswith("--from="):
            assert sources[0].removeprefix("--from=") in stages
        else:
            assert [each for each in sources if not (ROOT / each).exists()] == []


def test_the_node_is_not_root_and_its_home_is_inside_a_volume() -> None:
    assert last("USER") not in ("root", "0")
    after = [name for name, _rest in instructions()][::-1]
    # Nothing is run or copied as another account behind it.
    assert not {"RUN", "COPY"} & set(takewhile(lambda name: name != "USER", after))
    entry = json.loads(last("ENTRYPOINT"))
    home = Path(entry[entry.index("--home") + 1])
    assert Path(last("VOLUME")) in home.parents
    assert f"useradd --system --uid 10042 --home-dir {last('VOLUME')}" in "".join(
        rest for name, rest in instructions() if name == "RUN"
    )


def test_its_commands_are_commands() -> None:
    names = {
        each.name or getattr(each.callback, "__name__", "") for each in app.registered_commands
    }
    entry, words = json.loads(last("ENTRYPOINT")), json.loads(last("CMD"))
    health = json.loads(last("HEALTHCHECK").split(" CMD ")[1])
    assert entry[0] == health[0] == "meshnode"
    assert entry == health[:3]
    assert {words[0], health[3]} <= names
    assert last("EXPOSE").split() == [
        f"{DEFAULT_PORT}/tcp",
        f"{WEB_ADDRESS.rpartition(':')[2]}/tcp",
    ]


def test_a_gateway_in_it_reaches_postgresql_and_its_page_builds_what_has_a_health_check() -> None:
    (installed,) = [rest for name, rest in instructions() if name == "RUN" and "/opt" in rest]
    assert "gateway" in re.findall(r"\[([\w,]+)\]", installed)[0].split(",")
    page = (ROOT / "docs" / "how-to" / "run-in-a-container.md").read_text()
    # Podman's own format knows no health check, and leaves it out.
    builds = [each for each in page.splitlines() if each.startswith("podman build")]
    assert builds
    assert all("--format docker" in each for each in builds)


def test_the_screens_are_built_by_the_node_js_that_their_build_names() -> None:
    hook = (ROOT / "meshnode" / "web" / "app" / "build_hook.py").read_text()
    (named,) = re.findall(r'NODE_WHEEL: Final = "([^"]+)"', hook)
    (build,) = [rest for name, rest in instructions() if name == "RUN" and "pip wheel" in rest]
    assert f'"{named}"' in build.split("pip wheel")[0]
