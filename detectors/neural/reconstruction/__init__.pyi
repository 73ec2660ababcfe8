from .autoencoder import Dense as Dense
