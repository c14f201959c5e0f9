"""Decisions by a Gaussian process: what it believes of a space, and what is worth trying next.

Objectives are turned around here: higher is better, in standard deviations of those seen.
"""
