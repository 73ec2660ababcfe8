"""How much planted depth does a model take out of an order book? A convolutional autoencoder against simpler means.

    python examples/denoise_book.py

All learn the depth of one simulated book, manipulated as it is, and are shown another. The truth is that book without its spoofs
and flickers. Errors are root mean squares of log(1 + value), over the cells where depth was planted, over the others, and over all.

On this book one principal component does best: its depth is driven by one factor, and large orders are common enough that what is
planted cannot be told from all of them. With a code of the same size, the convolutional autoencoder leaves half the error of PCA.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

import foreshock as fs

DEPTH = tuple(f"log_{side}_notional_{level}" for side in ("bids", "asks") for level in range(15))
TRAIN_SEED, TEST_SEED, N_ROWS = 101, 103, 12_000
CONVOLUTIONAL = {"window": 24, "latent": 8, "device": "cpu"}
RATIOS = (None, 8.0, 12.0)


@dataclass
class PrincipalRows:
    """Rows rebuilt from their leading principal components, standardised and clipped as the networks' are."""

    n_components: int

    def fit(self, features: fs.Features) -> "PrincipalRows":
        self.names_ = features.names
        rows = features.values[:, 0]
        low, self.center, high = np.nanquantile(rows, [0.25, 0.5, 0.75], axis=0)
        self.scale = (high - low) / 1.349
        z = self._standardised(rows[~np.isnan(rows).any(axis=1)])
        self.mean = z.mean(axis=0)
        self.directions = np.linalg.svd(z - self.mean, full_matrices=False)[2][: self.n_components]
        return self

    def _standardised(self, rows: np.ndarray) -> np.ndarray:
        return np.clip((rows - self.center) / self.scale, -10, 10)

    def reconstruct(self, features: fs.Features) -> np.ndarray:
        z = self._standardised(features.values) - self.mean
        return (z @ self.directions.T @ self.directions + self.mean) * self.scale + self.center


@dataclass
class RollingMedian:
    """Each level by its median over the last rows."""

    window: int

    def fit(self, features: fs.Features) -> "RollingMedian":
        self.names_ = features.names
        return self

    def reconstruct(self, features: fs.Features) -> np.ndarray:
        return pd.DataFrame(features.values[:, 0]).rolling(self.window).median().to_numpy()[:, None]


def errors(book: fs.Book, simulated: fs.SimulatedBook, skip: int = 0) -> list[float]:
    """Error over the planted cells, the others and all, from row ``skip`` on."""
    shown, clean, found = (np.log1p(b.notional[skip:]) for b in (simulated.book, simulated.clean, book))
    squares, known = (found - clean) ** 2, ~np.isnan(found) & ~np.isnan(clean)
    planted = shown != clean
    return [float(np.sqrt(squares[known & part].mean())) for part in (planted, ~planted, np.ones_like(planted))]


def main() -> None:
    features = fs.book_features(fs.simulate_book(seed=TRAIN_SEED, n_rows=N_ROWS).book, DEPTH)
    simulated = fs.simulate_book(seed=TEST_SEED, n_rows=N_ROWS)
    models = {
        "rolling median, 21 rows": RollingMedian(21),
        "rolling median, 241 rows": RollingMedian(241),
        "PCA, 1 component": PrincipalRows(1),
        "PCA, 8 components": PrincipalRows(8),
        "autoencoder, code of 8": fs.make_detector("autoencoder", latent=8, device="cpu"),
        "denoising, code of 8": fs.make_detector("denoising_autoencoder", latent=8, masking=0.3, device="cpu"),
        "convolutional, code of 8": fs.make_detector("conv_autoencoder", **CONVOLUTIONAL),
    }
    print(f"{'':<26}{'ratio':>6}{'planted':>10}{'others':>10}{'all':>10}")
    # The first rows have no whole window in some of the models.
    skip = 240
    print(f"{'as it is':<26}{'':>6}" + "".join(f"{e:>10.3f}" for e in errors(simulated.book, simulated, skip)))
    for name, model in models.items():
        model.fit(features)
        for ratio in RATIOS:
            found = errors(fs.denoise_book(simulated.book, model, ratio), simulated, skip)
            print(f"{name:<26}{ratio or 'all':>6}" + "".join(f"{e:>10.3f}" for e in found), flush=True)


if __name__ == "__main__":
    main()
