"""Made-up contents of every kind of page, with the names of things as arguments."""
