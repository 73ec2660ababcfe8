"""Keys of a study file: their types, and the sections that need more than a few."""
