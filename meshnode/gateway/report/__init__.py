"""Figures of how a network does, from what its archive holds; nothing in them names anybody."""
