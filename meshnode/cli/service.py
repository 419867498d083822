"""`meshnode service`: the systemd unit of this installation, to be put into its place by root."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["register"]


def register(parent: typer.Typer) -> None:
    """Put this command into the program."""
    parent.command()(service)


def service(ctx: typer.Context) -> None:
    """Print a systemd unit that runs this home with this program.

    Below /var/lib systemd makes an account for it; elsewhere it runs as whoever has the home.
    """
    import sys
    from pathlib import Path

    from meshnode.cli.texts import home_of
    from meshnode.service_unit import unit_text

    home = home_of(ctx).absolute()
    # Not resolved: the program of an environment is a link that says which environment it is.
    typer.echo(unit_text(Path(sys.executable), home, _owner_of(home)), nl=False)


def _owner_of(home: Path) -> str:
    """Return who has a home, or would have it; an account without a name by its number."""
    import getpass

    if not home.exists():
        return getpass.getuser()
    try:
        return home.owner()
    except KeyError:
        # A folder of a container, or of a disk that came from another machine.
        return str(home.stat().st_uid)
