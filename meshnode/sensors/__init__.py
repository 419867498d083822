"""What a device can tell of itself: where it is, its battery, its coverage.

Readings come from outside and are never trusted: each is bounded, dated and may be missing.
"""
