"""The models of latent factors by name."""

from __future__ import annotations

from collections.abc import Sequence

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown
from foreshock.detectors.neural.latent.dense import DenseFactors, Kind
from foreshock.detectors.neural.latent.models import CharacteristicFactors, FactorModel, LinearFactors

PCA, CONDITIONAL = "pca", "conditional_autoencoder"
DENSE: dict[str, Kind] = {
    "autoencoder": "plain",
    "sparse_autoencoder": "sparse",
    "denoising_autoencoder": "denoising",
    "vae": "variational",
    "beta_vae": "variational",
}
BETA = {"vae": 1.0, "beta_vae": 4.0}
MODELS = (PCA, *DENSE, CONDITIONAL)
# Sizes of the hidden layers by default; those of a decoder come in reverse.
HIDDEN: dict[str, tuple[int, ...]] = {**dict.fromkeys(DENSE, (32,)), CONDITIONAL: (32, 16)}


def make_factor_model(
    name: str, n_factors: int, epochs: int, beta: float | None, hidden: Sequence[int] | None, seed: int, device: str
) -> FactorModel:
    """A fresh model by name."""
    if beta is not None and name not in BETA:
        raise ConfigError(f"only 'vae' and 'beta_vae' take beta, got {shown(beta)} for {shown(name)}; leave it out")
    if beta is not None and not 0 < beta < float("inf"):
        raise ConfigError(f"beta of {name} must be above 0 and finite, got {shown(beta)}; 1 is that of a VAE")
    if name not in MODELS:
        raise ConfigError(f"no such factor model: {shown(name)}; expected one of {', '.join(MODELS)}")
    if name == PCA:
        if hidden is not None:
            raise ConfigError(f"pca has no hidden layers, got hidden={shown(hidden)}; leave it out")
        return LinearFactors(n_factors)
    layers = HIDDEN[name] if hidden is None else _checked(hidden)
    if name == CONDITIONAL:
        return CharacteristicFactors(n_factors, layers, epochs, seed, device)
    return DenseFactors(n_factors, DENSE[name], BETA.get(name, 0.0) if beta is None else beta, layers, epochs, seed, device)


def _checked(hidden: object) -> tuple[int, ...]:
    sizes = tuple(hidden) if isinstance(hidden, Sequence) and not isinstance(hidden, str) else (0,)
    if not sizes or not all(isinstance(size, int) and not isinstance(size, bool) and size >= 1 for size in sizes):
        raise ConfigError(f"hidden must be the sizes of hidden layers, each at least 1, got {shown(hidden)}; such as (64, 32)")
    return sizes
