"""Whether generated return paths look like real ones: measures, the floor between two real samples, and controls."""

from engine.realism.card import RealismCard as RealismCard
from engine.realism.card import realism as realism
from engine.realism.surrogates import gaussian_paths as gaussian_paths
from engine.realism.surrogates import phase_shuffled_paths as phase_shuffled_paths
