"""Links between nodes: bearers, the session over one link, and who is dialled."""
