"""Raw logs to model batches."""
