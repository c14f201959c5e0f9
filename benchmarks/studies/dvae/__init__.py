"""A latent space of graphs: does it give them back, and can scores be predicted in it?"""
