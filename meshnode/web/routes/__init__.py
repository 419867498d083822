"""The table of routes, one file for each matter; `table` joins them.

A handler hands plain values to `Api` and back; what it may be asked, and by whom, is data.
"""
