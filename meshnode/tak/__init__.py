"""Cursor-on-Target: what the operations centre shares with a TAK server, and takes from it.

The gateway alone speaks it, and only where `[tak]` of its settings names a server: whoever is on
that server reads what is sent there. Source: DESIGN D13, decision 56.
"""
