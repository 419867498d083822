"""Many real nodes under one virtual clock, with checkers; nothing of it runs in the field."""
