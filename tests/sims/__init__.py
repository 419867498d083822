"""The simulation: its parts, and real nodes in it."""
