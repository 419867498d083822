"""What a web interface is built from; nothing of FastAPI, which comes with the first guest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from meshnode.api import Api
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.web.door import Door

__all__ = ["Placed", "WebParts"]


class Placed(Protocol):
    """Where a web interface is served, and what counts there."""

    @property
    def home(self) -> Path:
        """Folder of the node."""
        ...

    @property
    def runtime(self) -> Runtime:
        """The seams."""
        ...

    @property
    def metrics(self) -> Metrics:
        """Counts what is refused."""
        ...

    @property
    def is_local(self) -> bool:
        """Only this machine reaches the screens."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Names beside IP addresses under which they are served."""
        ...


@dataclass(frozen=True, slots=True)
class WebParts:
    """What the web interface is built from; it is `Placed`."""

    api: Api = field(repr=False)
    """The node's calls."""
    door: Door = field(repr=False)
    """Who may come in."""
    home: Path
    """Folder of the node, for the maps in it."""
    runtime: Runtime = field(repr=False)
    """The seams."""
    metrics: Metrics = field(repr=False)
    """Counts what is refused."""
    is_local: bool = True
    """Only this machine reaches the screens."""
    names: tuple[str, ...] = ()
    """Names beside IP addresses under which they are served."""
    statics: Path | None = None
    """Folder of the built front end; None for the one of this package."""
