"""The node: the trio shell around the protocol, with its store, its links and its commands."""
