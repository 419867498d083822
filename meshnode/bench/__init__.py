"""Measurements: what a contact costs, beside the least that it could cost, in the same minute."""
