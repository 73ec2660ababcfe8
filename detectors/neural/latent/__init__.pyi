from .factors import LatentFactors as LatentFactors
from .factors import latent_factors as latent_factors
