"""Named checks that find what keeps a node from working, or a squad from leaving, with the cure.

They change nothing but what opening a store changes, and know no screens.
"""
