"""What people hand to commands and get from them: pasted texts, files, QR codes, passphrases."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import typer

from meshnode.cli.language import say
from protocol.armour import TextForm
from protocol.errors import LimitExceededError, MeshError

__all__ = [
    "SECRET_VARIABLE",
    "SECRET_VARIABLES",
    "TextError",
    "backup_passphrase",
    "card_passphrase",
    "draw_qr",
    "home_of",
    "is_terminal",
    "message_text",
    "needed_secret",
    "new_secret",
    "offered_secret",
    "parse_duration_s",
    "passphrase",
    "read_text",
    "write_qr",
    "write_text",
]

_VARIABLE = "MESHNODE_PASSPHRASE"
SECRET_VARIABLE = "MESHNODE_SECRET"  # noqa: S105 - the name of a variable
"""Where the environment may hold the agent's secret."""
_CARD_VARIABLE = "MESHNODE_CARD_PASSPHRASE"
_BACKUP_VARIABLE = "MESHNODE_BACKUP_PASSPHRASE"
SECRET_VARIABLES = (_VARIABLE, SECRET_VARIABLE, _CARD_VARIABLE, _BACKUP_VARIABLE)
"""All that may hold a secret: nothing of them outlives a lock."""
_CHARACTERS_MAX = 1_024
_MESSAGE_CHARACTERS_MAX = 65_536
"""More than any message may hold; the node states the bound that counts, in bytes."""
_DURATION = re.compile(r"(\d{1,9})\s*(s|min|h|d|j)")
_UNITS_S = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "j": 86_400}


class TextError(MeshError):
    """A text, file or passphrase that a command needs is missing."""


def home_of(ctx: typer.Context) -> Path:
    """Return the folder that the option --home of the program names."""
    home = ctx.find_root().params.get("home")
    return Path(home) if home is not None else Path.home() / ".meshnode"


def is_terminal() -> bool:
    """True where a person reads the output."""
    return sys.stdout.isatty()


def read_text(argument: str, form: TextForm) -> str:
    """Return the text that `argument` is, names as a file, or says to read from stdin (`-`).

    Raises: TextError, LimitExceededError.
    """
    if argument.lstrip().startswith(f"{form.word}:"):
        return argument
    characters_max = 2 * form.bytes_max
    try:
        if argument == "-":
            text = sys.stdin.read(characters_max + 1)
        else:
            with Path(argument).open(encoding="utf-8") as file:
                text = file.read(characters_max + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise TextError(f"'{argument[:80]}' is neither {form.word}:… nor a file of it") from error
    if len(text) > characters_max:
        raise LimitExceededError("characters", characters_max, len(text))
    return text


def message_text(argument: str) -> str:
    """Return what a message says: the argument itself, or stdin for `-`. Raises: TextError."""
    if argument != "-":
        return argument
    try:
        text = sys.stdin.read(_MESSAGE_CHARACTERS_MAX + 1)
    except UnicodeDecodeError as error:
        raise TextError("stdin holds no text: a message is UTF-8") from error
    if len(text) > _MESSAGE_CHARACTERS_MAX:
        raise LimitExceededError("characters", _MESSAGE_CHARACTERS_MAX, len(text))
    return text.rstrip("\r\n")


def parse_duration_s(text: str) -> int:
    """Return a length of time such as `90s`, `30min`, `2h`, `3d` (or `3j`) in seconds.

    Raises: TextError.
    """
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None:
        raise TextError(f"'{text}' is no length of time: write it like 90s, 30min, 2h or 3d")
    return int(found[1]) * _UNITS_S[found[2]]


def passphrase(file: Path | None, *, is_new: bool) -> str:
    """Return the passphrase from `file`, else from the environment, else from the keyboard.

    There is no default. Raises: TextError where nobody can be asked, or it is empty.
    """
    return _secret(file, _VARIABLE, "--passphrase-file", say("Passphrase"), is_new=is_new)


def card_passphrase(file: Path | None, label: str, *, is_new: bool) -> str:
    """Return the passphrase of the holder of a card, from the same three places.

    Raises: TextError.
    """
    question = say("Passphrase of the card {card}", card=label)
    return _secret(file, _CARD_VARIABLE, "--card-passphrase-file", question, is_new=is_new)


def backup_passphrase(file: Path | None, *, is_new: bool) -> str:
    """Return the passphrase of a backup, from the same three places. Raises: TextError."""
    question = say("Passphrase of the backup")
    return _secret(file, _BACKUP_VARIABLE, "--passphrase-file", question, is_new=is_new)


def _secret(file: Path | None, variable: str, option: str, question: str, *, is_new: bool) -> str:
    if file is not None:
        try:
            found = _first_line(file)
        except (OSError, UnicodeDecodeError) as error:
            raise TextError(f"the passphrase file {file} cannot be read") from error
    elif variable in os.environ:
        found = os.environ[variable]
    elif sys.stdin.isatty():
        found = str(typer.prompt(question, hide_input=True, confirmation_prompt=is_new, err=True))
    else:
        raise TextError(f"no passphrase: use {option} or {variable}")
    if not found or len(found) > _CHARACTERS_MAX:
        raise TextError("the passphrase is empty or longer than 1,024 characters")
    return found


def offered_secret(file: Path | None, *, is_asked: bool) -> str | None:
    """Return the agent's secret from `file`, else the environment, else, if asked, the keyboard.

    None where there is none, or nothing was typed: the device stays locked then. Raises: TextError.
    """
    if file is not None:
        return _secret_in(file)
    if SECRET_VARIABLE in os.environ:
        return _fit(os.environ[SECRET_VARIABLE])
    if not is_asked or not sys.stdin.isatty():
        return None
    words = say("Secret of this device (nothing: stay locked)")
    typed = str(typer.prompt(words, default="", show_default=False, hide_input=True, err=True))
    return _fit(typed) if typed else None


def needed_secret(file: Path | None) -> str:
    """Return the agent's secret from where `offered_secret` finds it. Raises: TextError."""
    found = offered_secret(file, is_asked=True)
    if found is None:
        raise TextError(f"no secret: use --secret-file or {SECRET_VARIABLE}")
    return found


def new_secret(file: Path | None) -> str:
    """Return a secret to be, from `file`, else the environment, else typed twice.

    Raises: TextError where nobody can be asked, or it is empty.
    """
    if file is not None or SECRET_VARIABLE in os.environ or not sys.stdin.isatty():
        return needed_secret(file)
    words = say("New secret of this device")
    return _fit(str(typer.prompt(words, hide_input=True, confirmation_prompt=True, err=True)))


def _secret_in(file: Path) -> str:
    try:
        return _fit(_first_line(file))
    except (OSError, UnicodeDecodeError) as error:
        raise TextError(f"the secret file {file} cannot be read") from error


def _fit(secret: str) -> str:
    if not secret or len(secret) > _CHARACTERS_MAX:
        raise TextError("the secret is empty or longer than 1,024 characters")
    return secret


def _first_line(file: Path) -> str:
    return file.read_bytes()[: _CHARACTERS_MAX + 1].decode().rstrip("\r\n")


def write_text(path: Path, text: str) -> None:
    """Write a text that is carried elsewhere, perhaps on a stick that knows no file modes.

    Raises: TextError.
    """
    try:
        path.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise TextError(f"{path} cannot be written: {error.strerror}") from error


def draw_qr(text: str) -> None:
    """Draw `text` as a QR code, where the terminal is wide enough for it."""
    import segno

    try:
        code = segno.make_qr(text, error="l")
    except segno.DataOverflowError:
        typer.echo(say("This text is too long for a QR code: carry it as a file."), err=True)
        return
    columns, _ = code.symbol_size()
    if columns <= shutil.get_terminal_size().columns:
        code.terminal(compact=True)
    else:
        typer.echo(
            say("A terminal of {columns} columns shows this as a QR code.", columns=columns),
            err=True,
        )


def write_qr(text: str, path: Path) -> None:
    """Write `text` as a QR code in a PNG file, for a screen or for paper.

    Raises: TextError for more than a QR code can hold.
    """
    import segno

    try:
        segno.make_qr(text, error="l").save(str(path), kind="png", scale=6)
    except segno.DataOverflowError as error:
        raise TextError("this text is too long for a QR code: carry it as a file") from error
    except OSError as error:
        raise TextError(f"{path} cannot be written: {error.strerror}") from error
