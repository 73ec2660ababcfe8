"""Pages: one HTML file each that asks nothing of the network."""
