"""Point-in-time features of events, computed by Spark."""
