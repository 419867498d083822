"""Shows documents that others made: read with strict bounds, nothing of them run or fetched.

Pure: bytes in, a document in, text or HTML out. It knows nothing of the node. Source: decision 32.
"""
