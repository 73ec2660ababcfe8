"""Networks with a model of how usual windows come about: variational autoencoders and the AnoGAN."""
