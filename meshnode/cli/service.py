"""`meshnode service`: the systemd unit of this installation, to be put into its place by root."""

from __future__ import annotations

import typer

__all__ = ["register"]


def register(parent: typer.Typer) -> None:
    """Put this command into the program."""
    parent.command()(service)


def service(ctx: typer.Context) -> None:
    """Print a systemd unit that runs this home with this program.

    Below /var/lib systemd makes an account for it; elsewhere it runs as whoever has the home.
    """
    import getpass
    import sys
    from pathlib import Path

    from meshnode.cli.texts import home_of
    from meshnode.service_unit import unit_text

    home = home_of(ctx).absolute()
    owner = home.owner() if home.exists() else getpass.getuser()
    # Not resolved: the program of an environment is a link that says which environment it is.
    typer.echo(unit_text(Path(sys.executable), home, owner), nl=False)
