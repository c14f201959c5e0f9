"""Trains vertical models, in the daily job and in studies."""
