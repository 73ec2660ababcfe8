"""What was validated, in operation: a study's pipeline, one row at a time."""
