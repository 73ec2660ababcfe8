"""Cases of a study: alerts that belong together, what was seen in them, and the raw rows of each."""
