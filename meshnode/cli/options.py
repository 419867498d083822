"""Options that many commands have."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["AsJson", "ToHtml"]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
ToHtml = Annotated[
    str, typer.Option("--html", metavar="FILE", help="Write a page of HTML there instead.")
]
