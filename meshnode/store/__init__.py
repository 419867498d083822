"""Everything durable: bundles, messages, keys, documents; the only room that knows SQL."""
