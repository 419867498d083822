"""Accepted and rejected encodings, each with its clause of the wire format."""
