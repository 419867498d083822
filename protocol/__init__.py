"""The protocol: bytes and time in, bytes and events out; no clock, disk, socket or randomness."""
