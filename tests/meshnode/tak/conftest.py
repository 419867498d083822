"""The usual nodes of the tests of a node's rooms."""

from __future__ import annotations

from tests.meshnode.conftest import met, rig

__all__ = ["met", "rig"]
