"""Small random markets for tests."""

from data.random_bars import random_bars

make_bars = random_bars
