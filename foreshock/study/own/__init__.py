"""What a study does with things that are not foreshock's: entries of a study file, the gate, and thresholds of one detector."""
