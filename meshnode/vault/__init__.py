"""Keys at rest: the files that hold them, and the seal over every row of the store."""
