"""The program's entry: help, versions, exit codes, and errors as one sentence with the fix."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

import meshnode.cli.main
from meshnode.cli.exits import EXIT_CODES, Exit, exit_for
from meshnode.cli.main import execute, program
from meshnode.errors import ControlError, HomeBusyError, LinkClosedError, SendError
from protocol.errors import MalformedError, MeshError, NoKeyError
from tests.environment import unmeasured
from tests.meshnode.cli.people import People

COMMANDS = frozenset(
    [
        "alarm",
        "alarms",
        "audit",
        "authority",
        "backup",
        "bench",
        "board",
        "budget",
        "cancel",
        "charge",
        "check",
        "coverage",
        "demo",
        "doctor",
        "documents",
        "dump",
        "enrol",
        "export",
        "files",
        "gateway",
        "held",
        "import",
        "inbox",
        "init",
        "keys",
        "lock",
        "matrix",
        "message",
        "orders",
        "outbox",
        "peers",
        "position",
        "resend",
        "retention",
        "restore",
        "run",
        "send",
        "sensors",
        "service",
        "sheets",
        "shift",
        "sos",
        "state",
        "status",
        "sync",
        "tak",
        "track",
        "unload",
        "unlock",
        "uplink",
        "web",
        "wipe",
    ]
)


def test_help_lists_every_command(people: People) -> None:
    shown = people.reads("x", "--help")
    listed = shown.split("Commands:\n")[1].splitlines()
    assert {line.split()[0] for line in listed if line.strip()} == COMMANDS
    # A line that was cut says less than it must.
    assert "..." not in shown.replace("[ARGS]...", "")


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_command_has_help_in_both_languages(people: People, command: str) -> None:
    english = people.reads("x", command, "--help")
    french = people.reads("x", "--lang", "fr", command, "--help")
    assert "Show this message and exit." in english
    assert "Montrer ce message et finir." in french
    assert english.split()[:3] == ["Usage:", "meshnode", command]


def test_a_command_line_that_is_wrong_is_explained(people: People) -> None:
    assert "'send'" in people.fails(2, "x", "snd")
    assert "'meshnode send --help'" in people.fails(2, "x", "send")
    assert "No such option: --fast" in people.fails(2, "x", "send", "--fast", "a", "b")
    assert "--limit" in people.fails(2, "x", "inbox", "--limit", "0")
    french = people.fails(2, "x", "--lang", "fr", "send")
    assert french.startswith("meshnode: il manque l'argument «")
    assert "Missing command" in people.fails(2, "x")


def test_a_bare_name_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute([]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.split()[1] == "meshnode"


def test_the_version_is_that_of_the_package(people: People) -> None:
    from importlib.metadata import version

    assert people.reads("x", "--version") == f"meshnode {version('meshnode')}\n"


def test_errors_of_each_room_have_their_exit_code(people: People) -> None:
    assert "not enrolled" in people.fails(4, "x", "status")
    people.reads("x", "init")
    (people.home("x") / "meshnode.toml").write_text("[links]\nlisten = 7\n")
    assert "links.listen" in people.fails(3, "x", "status")
    assert "réglage" in people.fails(3, "x", "--lang", "fr", "status")
    assert "neither MESHI1" in people.fails(2, "x", "enrol", "nothing")
    assert "there is no authority" in people.fails(4, "x", "authority", "roster")
    damaged = people.fails(2, "x", "enrol", "MESHI1:abc")
    assert "ends with ~" in damaged


def kinds(kind: type[MeshError]) -> list[type[MeshError]]:
    return [kind, *(deeper for each in kind.__subclasses__() for deeper in kinds(each))]


def test_no_error_is_without_a_place_in_the_table() -> None:
    """The demo and the benchmarks have errors of their own; all others have a place."""
    for module in pkgutil.walk_packages(meshnode.__path__, "meshnode."):
        if "migrations" not in module.name:
            importlib.import_module(module.name)
    strays = {
        kind.__module__
        for kind in kinds(MeshError)
        if kind is not MeshError
        and not any(each in EXIT_CODES for each in kind.__mro__[: kind.__mro__.index(MeshError)])
    }
    tools = ("meshnode.demo", "meshnode.bench", "tests", "sims")
    assert {each for each in strays if not each.startswith(tools)} == set()


def test_a_class_counts_as_its_nearest_base() -> None:
    assert exit_for(LinkClosedError()).code == 5
    assert exit_for(MalformedError()).code == 2
    assert exit_for(NoKeyError()).code == 7
    assert exit_for(HomeBusyError()).code == 4
    assert exit_for(MeshError()).code == 9
    assert all(isinstance(place, Exit) and place.meaning for place in EXIT_CODES.values())


@pytest.mark.parametrize(
    ("kind", "code"),
    [("SendError", 7), ("HomeBusyError", 4), ("UnknownNameError", 2), ("gone", 8), ("KeyError", 8)],
)
def test_a_refusal_of_a_running_node_counts_like_one_without(kind: str, code: int) -> None:
    assert exit_for(ControlError(kind, "no")).code == code


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(meshnode.cli.main, "_invoked", fail)


def test_a_defect_is_one_sentence_and_its_place_is_written_on_demand(
    people: People, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failing(monkeypatch, ZeroDivisionError("a text of somebody"))
    plain = people.types("x", "status")
    assert (plain.code, plain.out) == (70, "")
    assert "ZeroDivisionError" in plain.err
    assert list(tmp_path.glob("meshnode-*.txt")) == []
    people.types("x", "--debug", "status")
    (written,) = tmp_path.glob("meshnode-*.txt")
    assert "in fail" in written.read_text()
    assert written.stat().st_mode & 0o077 == 0


def test_an_error_out_of_a_group_of_tasks_is_explained_like_a_bare_one(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, ExceptionGroup("tasks", [SendError("x", "the message is empty: write")]))
    assert people.fails(7, "x", "status") == "meshnode: the message is empty: write\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_an_interruption_is_silent(
    people: People, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    failing(monkeypatch, error)
    screen = people.types("x", "status")
    assert (screen.code, screen.out, screen.err) == (130, "", "")


def test_what_a_peer_calls_itself_does_not_command_the_terminal(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, SendError("x", "no device is called '\x1b[2Jzoé'"))
    assert "\x1b" not in people.fails(7, "x", "status")


def test_the_tree_of_commands_is_made_anew_for_each_run() -> None:
    assert program() is not program()


@pytest.mark.real
@pytest.mark.slow
def test_the_package_runs_as_a_program() -> None:
    command = [sys.executable, "-m", "meshnode", "inbox", "--nonsense"]
    done = subprocess.run(command, env=unmeasured(), capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("meshnode: ")


@pytest.mark.real
@pytest.mark.slow
def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from meshnode.cli.main import execute; execute(['--help']);"
        "print(sorted({'trio', 'rich', 'sqlalchemy', 'cryptography', 'zeroconf', 'asyncio'}"
        " & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == "[]\n"
