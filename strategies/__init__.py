"""Strategies: bars and alerts in, target weights out."""
