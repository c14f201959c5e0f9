"""How fast, and in how much memory: each against a peer or a limit in the same run."""
