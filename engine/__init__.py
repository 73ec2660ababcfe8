"""Features, scores, thresholds, walk-forward, validation and risk."""
