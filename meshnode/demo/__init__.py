"""`meshnode demo`: messages leave a white zone, on real nodes of this machine."""

from meshnode.demo.run import run_demo

__all__ = ["run_demo"]
