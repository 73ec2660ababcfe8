"""Things of your own that become detectors by their names: an object, a function of a features frame, a torch module."""

import pandas as pd
import torch
from sklearn.covariance import EllipticEnvelope

envelope = EllipticEnvelope(contamination=0.01)

network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh(), torch.nn.Linear(2, 3))


def volume_surge(frame: pd.DataFrame, window: int = 48) -> pd.Series:
    """Volume in units of the largest of the ``window`` rows before; the look-back of 48 is measured."""
    volume = frame["volume_ratio_20"]
    return volume / volume.rolling(window).max().shift(1)
