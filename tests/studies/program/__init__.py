"""Studies of the program itself: what it withstands, whether streams equal batches, and every kind of source on real data."""
