"""Latent factors of a market, by network and by PCA of the same dimension, out of sample.

    python examples/latent_factors.py BARS.parquet

One row a model: R2 of returns rebuilt from the codes of the same row, of each symbol rebuilt from the codes of the others, and
forecast by the mean factor of training; then what the factors are. Refitted every year on the year before.
"""

import sys

import pandas as pd

import foreshock as fs
from foreshock.strategies.factor_portfolio import MODELS


def main(path: str) -> None:
    bars = fs.read_bars(path)
    splits = fs.WalkForward(train="365D", test="365D", embargo="1D")
    found = {name: fs.latent_factors(bars, name, n_factors=3, splits=splits) for name in MODELS}
    table = pd.DataFrame({name: factors.fit for name, factors in found.items()}).T
    table["market_gap"] = [factors.disentanglement.attrs["market_gap"] for factors in found.values()]
    print("out of sample, 3 factors, returns in units of the volatility known before\n")
    print(table.to_string(float_format=lambda value: f"{value:.4f}"))
    for name, factors in found.items():
        print(f"\n{name}: share of squared returns, R2 of codes on the market and on what symbols do beside it, correlations\n")
        about = pd.concat([factors.variance, factors.disentanglement, factors.correlation], axis=1)
        print(about.to_string(float_format=lambda value: f"{value:.2f}"))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python latent_factors.py BARS.parquet")
    main(sys.argv[1])
