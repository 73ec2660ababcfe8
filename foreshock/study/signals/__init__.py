"""What the signals of a study are: the labels that they find, what drives them, and what their scores are worth."""
