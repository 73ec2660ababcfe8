"""Defaults shared by study files and ``Study``; those of costs, splits, thresholds and avoidance are in their own classes."""

TITLE = "foreshock study"
HORIZONS = ("1h", "6h", "24h")
DELAY = 1
RANDOM_DRAWS = 200
N_BOOTSTRAP = 999
N_SURROGATES = 0
SEED = 0
