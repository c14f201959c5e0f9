"""How good: methods compared on whole logs, over seeds, with intervals."""
