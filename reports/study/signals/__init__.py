"""The part of a study's page on its signals: labels found, profiles of alerts, scores and what follows them."""
