"""Market data: bars, files, cleaning, simulation."""
