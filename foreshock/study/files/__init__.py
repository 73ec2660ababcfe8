"""The files of a study: what they hold, how they are written, and a result read back from them."""
