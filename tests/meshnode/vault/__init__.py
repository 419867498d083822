"""The vault room: keys at rest, and the seal over rows."""
