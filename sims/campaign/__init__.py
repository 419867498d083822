"""Campaigns: a grid of parameters times seeds, on one computer or many, and their comparison."""
