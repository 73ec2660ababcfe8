"""Work that is not done twice: fits, scores and explanations of a study are kept in the cache."""
