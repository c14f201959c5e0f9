"""A latent space of labelled graphs, in which a search can go by gradients (D-VAE, arXiv:1904.11088)."""
