"""Rows of the tables as the models' input: encoded, batched, with histories."""
