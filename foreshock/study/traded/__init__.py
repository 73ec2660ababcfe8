"""The strategies of a study: what they are, what they are told, and the weights that they want."""
