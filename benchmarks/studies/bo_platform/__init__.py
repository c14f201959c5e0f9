"""Bayesian optimization over pools of trained settings."""
