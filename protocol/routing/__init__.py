"""Routing policies: in which order a peer gets what it lacks."""
