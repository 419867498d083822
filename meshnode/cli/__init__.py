"""The command line: arguments and screens; no rule of the node is here."""
