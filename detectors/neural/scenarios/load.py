"""Loads scenario models from saved files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from foreshock.data.checks import check_path
from foreshock.data.doors.door import door
from foreshock.data.errors import DataError
from foreshock.detectors.neural.scenarios.gan import GANScenarios
from foreshock.detectors.neural.scenarios.model import ScenarioModel
from foreshock.detectors.neural.scenarios.vae import ConditionalVAEScenarios, VAEScenarios
from foreshock.detectors.saved import read_saved

SHIPPED = Path(__file__).parent.parent / "shipped" / "scenario_vae.safetensors"


@door
def load_scenario_model(path: str | Path | None = None) -> ScenarioModel:
    """Load a fitted scenario model from a file that its ``save`` wrote. Nothing is unpickled.

    Parameters
    ----------
    path : str or Path, optional
        The saved file. By default the VAE that comes with foreshock, for 24 hourly bars of four symbols of the simulated market
        without events. A JSON file next to it has its training data and its realism card; both files are made by
        ``examples/train_scenario_vae.py``.

    Returns
    -------
    ScenarioModel
        The fitted model, for ``fs.generate_scenarios``.

    Raises
    ------
    DataError
        If the file is missing, was changed after it was saved, is of a newer format, or does not hold a valid scenario model.

    Examples
    --------
    >>> import foreshock as fs
    >>> model = fs.load_scenario_model()
    >>> model.symbols_
    ('BTC/USDT', 'ETH/USDT', 'BNB/USDT', 'SOL/USDT')
    >>> model.n_steps
    24
    """
    if path is not None:
        check_path("path", path)
    path = SHIPPED if path is None else path
    name, params, state, _ = read_saved(path)
    classes: dict[str, Any] = {cls.name: cls for cls in (VAEScenarios, ConditionalVAEScenarios, GANScenarios)}
    if name not in classes:
        raise DataError(f"{path} holds a {name}, not a scenario model; pass one of {', '.join(classes)}")
    try:
        model = classes[name](**params)
        for key in model.learned:
            setattr(model, key, state[key])
        model._network(len(model.symbols_)).load_state_dict({k: torch.from_numpy(v) for k, v in model.weights_.items()})
    except (TypeError, KeyError, RuntimeError, AttributeError) as error:
        raise DataError(f"{path} is not consistent: {error}; save the model again") from error
    return model
