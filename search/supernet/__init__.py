"""Weights shared by all ranking models of a space, and the searches that need no training per model.

`supernet.py` holds the weights, `mixture.py` runs all operations at once under gates. `one_shot.py`, `dnas.py`,
`dist_dnas.py` and `screen.py` propose models; `proposal.py` says what a proposal is.
"""
