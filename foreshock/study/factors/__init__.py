"""Latent factors of the market of a study, by PCA and by a network."""
