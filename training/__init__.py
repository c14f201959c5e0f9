"""Fits any model on one or many devices, keeps its state, measures it."""
