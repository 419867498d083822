"""Runs the command line: `python -m sims`."""

from __future__ import annotations

from sims.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
