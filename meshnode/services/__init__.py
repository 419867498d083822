"""What people do all day beside writing: each module is one service of an unlocked node.

A service makes bundles through `Author`, keeps what it opens in its own room of the store, and
knows no screen. The inbox hands it the kinds of bundles that it keeps.
"""
