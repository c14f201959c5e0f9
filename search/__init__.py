"""Trials of a study, and what chooses the next one."""
