"""Attacks on a whole node: what an outsider, an enrolled peer and a relay can and cannot do."""
