"""Runs the command line: `python -m meshnode`."""

from __future__ import annotations

from meshnode.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
