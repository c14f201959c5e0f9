"""Trains the foundation model: score a day, log the scores, learn it; sharded, resumable."""
