"""Coverage-guided fuzzing of every function that reads bytes of a peer."""
