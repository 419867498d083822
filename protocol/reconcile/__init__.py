"""Rateless IBLT set reconciliation: cached sketches, their columns on the wire, the decoder."""
