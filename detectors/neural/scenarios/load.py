"""Scenario models from the files that they were saved to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from foreshock.data.checks import check_path
from foreshock.data.errors import DataError
from foreshock.detectors.base import read_saved
from foreshock.detectors.neural.scenarios.gan import GANScenarios
from foreshock.detectors.neural.scenarios.model import ScenarioModel
from foreshock.detectors.neural.scenarios.vae import ConditionalVAEScenarios, VAEScenarios

SHIPPED = Path(__file__).parent.parent / "shipped" / "scenario_vae.safetensors"


def load_scenario_model(path: str | Path | None = None) -> ScenarioModel:
    """A model written by ``save``; nothing is unpickled.

    Without a path it is the VAE that comes with foreshock: 24 hours of four symbols of the simulated market without events. What
    it was trained on, and its realism card, stand in the JSON file beside it; ``examples/train_scenario_vae.py`` makes both.

    Raises
    ------
    DataError
        If the file is missing, changed, of a newer format, holds something else, or does not fit together.
    """
    if path is not None:
        check_path("path", path)
    path = SHIPPED if path is None else path
    name, params, state = read_saved(path)
    classes: dict[str, Any] = {cls.name: cls for cls in (VAEScenarios, ConditionalVAEScenarios, GANScenarios)}
    if name not in classes:
        raise DataError(f"{path} holds a {name}, no scenario model; give one of {', '.join(classes)}")
    try:
        model = classes[name](**params)
        for key in model.learned:
            setattr(model, key, state[key])
        model._network(len(model.symbols_)).load_state_dict({k: torch.from_numpy(v) for k, v in model.weights_.items()})
    except (TypeError, KeyError, RuntimeError, AttributeError) as error:
        raise DataError(f"{path} does not fit together: {error}; save the model again") from error
    return model
