"""A torch module of the user's own as a reconstructing detector."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import one_line
from foreshock.detectors.neural.base import NeuralDetector
from foreshock.detectors.neural.trainer import OnEpoch
from foreshock.detectors.neural.windows import Windows
from foreshock.detectors.own.base import checked_name, source_digest
from foreshock.engine.features.features import Features


class _Wrapped(nn.Module):
    """The module with what the trainer asks of a network; it needs no noise."""

    n_uniform = n_normal = 0

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)


class ModuleDetector(NeuralDetector):
    """A torch module that rebuilds rows: the score is the mean squared error of a row.

    The module maps rows (n, n_features) to rows of the same shape, or returns a tuple whose first entry is that. Rows are
    standardised for each symbol by median and interquartile range of the training rows, and clipped at 10 for the module. For
    each fold, a copy of the module is trained by AdamW on the mean squared error in batches, with early stopping by the last 15 %
    of the training rows. Its initial weights are drawn anew by ``reset_parameters`` of its layers; all random numbers, dropout's
    among them, come from ``seed``. The score of a row uses that row alone.

    Parameters
    ----------
    module : torch.nn.Module
        It is not changed.
    name : str, optional
        By default the name of its class.
    fresh : bool
        Whether to draw initial weights (True, the default), or to start from those that the module has.
    epochs, batch_size, learning_rate, max_windows, pool, warm_start, seed, device
        As those of the autoencoders; see ``fs.make_detector("autoencoder")``. ``window`` is 1.

    Raises
    ------
    ConfigError
        By ``fit``, if the module does not return rows of the shape that it gets, raises, or learns nothing.
    """

    own: ClassVar[bool] = True
    by_row: ClassVar[bool] = True
    slow = 1

    def __init__(self, module: Any = None, name: str | None = None, fresh: bool = True, **shared: Any) -> None:
        super().__init__(**{"latent": 1, **shared})
        self.module = module
        self.fresh = fresh
        self.name = checked_name(name, type(module).__name__, type(module).__module__)

    def described(self) -> dict[str, Any]:
        rest = {key: value for key, value in self.get_params().items() if key not in ("module", "name")}
        about = {"module": one_line(" ".join(repr(self.module).split()), 300), "sha256": source_digest(type(self.module))}
        return {"name": self.name, **about, **rest}

    def save(self, path: str | Path) -> None:
        raise ConfigError(f"{self.name} cannot be saved to {path}: it holds an object that is not foreshock's; fit it again")

    def _check(self, features: Features) -> None:
        if self.window != 1:
            raise ConfigError(f"window of {self.name} must be 1, got {self.window}; a module sees one row at a time")
        super()._check(features)
        rows = torch.zeros((2, len(features.names)))
        try:
            with torch.no_grad():
                found = _rows(deepcopy(self.module).float().eval(), rows)
        # A module of anyone may raise anything.
        except Exception as error:
            raise ConfigError(
                f"{self.name} cannot take rows of {len(features.names)} features: {type(error).__name__}: "
                f"{one_line(' '.join(str(error).split()), 160)}; its first layer needs as many inputs"
            ) from error
        if not isinstance(found, Tensor) or found.shape != rows.shape:
            got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ConfigError(
                f"{self.name} must rebuild rows of {len(features.names)} features, got {got} for 2 rows; "
                f"return what the last layer makes of a row"
            )

    def _network(self, n_features: int, n_context: int) -> nn.Module:  # noqa: ARG002 - the module has its own shape
        net = deepcopy(self.module).float()
        for layer in net.modules() if self.fresh else ():
            reset = getattr(layer, "reset_parameters", None)
            if callable(reset):
                reset()
        return _Wrapped(net)

    def _fit_windows(self, windows: Windows, start: dict[str, Any] | None, on_epoch: OnEpoch | None) -> dict[str, Any]:
        # Dropout and the like draw from torch's global state.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return super()._fit_windows(windows, start, on_epoch)

    def _loss(self, net: Any, x: Tensor, context: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:  # noqa: ARG002
        return functional.mse_loss(_rows(net, x[:, -1]), x[:, -1])

    def _codes(self, net: Any, x: Tensor, context: Tensor) -> Tensor:  # noqa: ARG002
        raise ConfigError(f"{self.name} has no codes that are known here; ask the module itself")

    def _rebuilt(self, net: Any, x: Tensor, context: Tensor) -> Tensor:  # noqa: ARG002
        return _rows(net, x[:, -1])[:, None]


def _rows(net: Any, x: Tensor) -> Any:
    found = net(x)
    return found[0] if isinstance(found, tuple) else found
