"""What a public name takes: one check at its door, made of its annotations and of one table of kinds."""
