"""The regime of each row as files, which a study and an exploration write alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from foreshock.detectors.clusters.labels import Regimes

REGIME_FILES = ("regimes.parquet", "regimes.csv")


def write_regimes(regimes: Regimes, paths: Mapping[str, Path]) -> None:
    """Write time (UTC), symbol and regime of every row whose regime is known."""
    rows = regimes.rows_frame()
    rows.to_parquet(paths["regimes.parquet"], compression="zstd", index=False)
    rows.to_csv(paths["regimes.csv"], index=False)
