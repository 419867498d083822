"""`meshnode backup` and `meshnode restore`: a whole home in one sealed file, and back.

Arguments and screens only. Imports of the node stand inside the commands, so that help appears at
once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson

__all__ = ["register"]

PassphraseFile = Annotated[
    Path | None, typer.Option(help="Read the passphrase of the backup from this file.")
]


def register(parent: typer.Typer) -> None:
    """Put these commands into the program."""
    parent.command()(backup)
    parent.command()(restore)


def backup(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The sealed file to write.")],
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Write this home into one sealed file.

    The node may run. For gateways, operators' devices and boxes; an agent's device is enrolled
    anew instead.

    The passphrase comes from a file, MESHNODE_BACKUP_PASSPHRASE, or is typed twice. Without it
    nobody opens the file.
    """
    from meshnode.backup import write_backup
    from meshnode.cli.progress import progress_bar
    from meshnode.cli.show import local_time, print_json, size
    from meshnode.cli.texts import backup_passphrase, home_of
    from meshnode.config import load_settings
    from meshnode.runtime import system_runtime
    from meshnode.vault import wrapping

    home = home_of(ctx)
    settings = load_settings(home)
    passphrase = backup_passphrase(passphrase_file, is_new=True)
    words = say("Backup")
    with progress_bar(words, _PERMILLE) as draw:
        written = write_backup(
            home,
            file,
            passphrase,
            settings,
            system_runtime(),
            wrapping.AGENT_COST,
            lambda done, whole: draw(words, _permille(done, whole)),
        )
    if as_json:
        print_json(
            path=str(file),
            node=written.node.hex(),
            made_ms=written.made_ms,
            files=written.files,
            bytes=written.bytes,
        )
        return
    typer.echo(
        say(
            "{path}: {files} files, {size}, as of {time}.",
            path=file,
            files=written.files,
            size=size(written.bytes),
            time=local_time(written.made_ms),
        )
    )
    typer.echo(say("Keep it apart from the device, and the passphrase apart from both."))


def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file that 'backup' wrote.")],
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Make the home from a backup.

    It must not exist yet, or be empty. Stop the device that the backup is of for good:
    two of one name contradict each other.
    """
    import trio

    from meshnode.cli.progress import progress_bar
    from meshnode.cli.show import local_time, print_json
    from meshnode.cli.texts import backup_passphrase, home_of
    from meshnode.restoring import Restored, restore_backup
    from meshnode.runtime import system_runtime

    home = home_of(ctx)
    passphrase = backup_passphrase(passphrase_file, is_new=False)
    words = say("Restore")

    async def make() -> Restored:
        with progress_bar(words, _PERMILLE) as draw:
            return await restore_backup(
                file,
                home,
                passphrase,
                system_runtime(),
                lambda done, whole: draw(words, _permille(done, whole)),
            )

    found = trio.run(make)
    if as_json:
        print_json(
            home=str(home),
            node=found.node.hex(),
            made_ms=found.made_ms,
            files=found.files,
            purged=found.purged,
        )
        return
    typer.echo(
        say(
            "{home}: {files} files as of {time}; purged since: {purged}.",
            home=home,
            files=found.files,
            time=local_time(found.made_ms),
            purged=found.purged,
        )
    )
    typer.echo(say("What came after that time is lost: ask for it again. Start it: meshnode run"))


_PERMILLE = 1_000


def _permille(done: int, whole: int) -> int:
    return _PERMILLE * done // max(1, whole)
