"""How many positives active search finds: on clusters, architectures, and users of real logs."""
