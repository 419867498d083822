"""The systemd unit of one installation: which program, which home, which account.

The unit is a file of the package; what differs from machine to machine is filled in here.
Source: systemd.service(5), systemd.exec(5); ecosystem 3.7.
"""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import Final

from meshnode.errors import HomeError

__all__ = ["unit_text"]

_UNIT: Final = Path(__file__).with_name("deploy") / "meshnode.service"
_STATE: Final = Path("/var/lib")
"""Folders below are made by systemd, for an account that exists only while the node runs."""


def unit_text(program: Path, home: Path, owner: str) -> str:
    """Return the unit that runs `home`, an absolute path, by the interpreter `program`.

    Below /var/lib the account is made by systemd; elsewhere it is `owner`, who has the home.
    Raises: HomeError where that is root or a bare number, or a path holds a line break.
    """
    if any(character in f"{program}{home}" for character in "\n\r\0"):
        raise HomeError(f"{home} cannot stand in a unit: take another --home")
    words = (str(program), "-m", "meshnode", "--home", str(home), "run", "--log", "json")
    # In a command line alone a dollar begins a variable.
    command = " ".join(_quoted(each).replace("$", "$$") for each in words)
    account = "\n".join(_account(home, owner))
    return Template(_UNIT.read_text(encoding="utf-8")).substitute(command=command, account=account)


def _account(home: Path, owner: str) -> tuple[str, ...]:
    if _STATE in home.parents:
        name = home.relative_to(_STATE).parts[0]
        return (
            "DynamicUser=yes",
            "SupplementaryGroups=dialout",
            f"StateDirectory={_escaped(name)}",
            "StateDirectoryMode=0700",
        )
    if owner.isdecimal():
        raise HomeError(
            f"{home} belongs to account {owner}, which has no name here: "
            "give it to an account of this machine"
        )
    if owner == "root":
        raise HomeError(
            f"{home} belongs to root, who runs no node: take a --home below /var/lib, "
            "or give it to another account"
        )
    return (
        f"User={owner}",
        "SupplementaryGroups=dialout",
        f"ReadWritePaths={_quoted(str(home))}",
    )


def _quoted(word: str) -> str:
    """Return a word of a list as systemd reads it back; plain ones stay as they are."""
    escaped = _escaped(word).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if any(each in word for each in " \t\"'\\;") else escaped


def _escaped(word: str) -> str:
    return word.replace("%", "%%")
