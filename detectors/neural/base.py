"""Base of the network detectors: standardised windows in, one score per row out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor, nn

from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.shown import few, shown
from foreshock.detectors.base import refuse_infinite
from foreshock.detectors.neural.explanation import BATCH, squares_of_windows, variants_of_windows
from foreshock.detectors.neural.folds import train_together
from foreshock.detectors.neural.parameters import ParametersOfBases
from foreshock.detectors.neural.stream import NetworkStream
from foreshock.detectors.neural.trainer import (
    VALIDATION,
    OnEpoch,
    Settings,
    TrainingData,
    as_tensor,
    one_thread,
    pick_device,
    seeded,
    train,
)
from foreshock.detectors.neural.windows import Windows, clipped
from foreshock.detectors.parameter_types import check_types
from foreshock.detectors.scaled import ModelDetector
from foreshock.detectors.scaling import MIN_ROWS
from foreshock.engine.features.features import Features

# Smallest number of windows in the validation part, which decides when training stops.
FEWEST_LATER = 10


class NeuralDetector(ParametersOfBases, ModelDetector):
    """Base of the networks that look at windows of standardised rows.

    Rows are standardised per symbol by median and interquartile range of the training rows. The window of row t is the rows
    t - window + 1 .. t of one symbol. The network sees values clipped at 10 in training and scoring. Errors are measured against
    the values before clipping, so that the score keeps rising with the size of an outlier. A row whose window has an unknown
    value gets NaN; nothing is imputed. Networks learn in float32 and score in float64 in passes of one shape, so that other rows
    change a row's score by float64 rounding at most.

    A subclass builds its network in ``_network``, returns the training loss from ``_loss`` and the scores from ``_errors``.

    Parameters
    ----------
    window : int
        Number of rows that the network sees; 1 scores each row by itself.
    latent : int
        Number of values of the code, from 1 to one less than the number of values of a window; a default is lowered to that.
    epochs : int
        Largest number of epochs; training stops earlier by the loss of the last 15 % of the training windows.
    batch_size : int
        Largest number of windows in a batch.
    learning_rate : float
        Learning rate of AdamW at the start.
    max_windows : int
        Largest number of training windows; if there are more, this many are used, evenly spread over the training rows.
    pool : bool
        Whether all symbols share one network (True, the default) or each has its own.
    warm_start : bool
        Whether ``walk_forward`` starts each fold from the weights of the previous fold, which saw earlier rows only.
    seed : int
        Seed of weights, batches and noise.
    device : {"auto", "cpu", "cuda"}
        Where to compute; ``"auto"`` uses the GPU if there is one.
    """

    tolerance = 1e-9
    slow = 1
    # Whether the score of a symbol uses rows of other symbols.
    market_wide: ClassVar[bool] = False
    # Whether networks of several folds can be trained together by vmap.
    stackable: ClassVar[bool] = False

    def __init__(
        self,
        *,
        window: int = 1,
        latent: int = 4,
        epochs: int = 12,
        batch_size: int = 1024,
        learning_rate: float = 2e-3,
        max_windows: int = 50_000,
        pool: bool = True,
        warm_start: bool = False,
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        self.window = window
        self.latent = latent
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.max_windows = max_windows
        self.pool = pool
        self.warm_start = warm_start
        self.seed = seed
        self.device = device

    @property
    def lookback(self) -> int:
        return self.window - 1

    @door
    def fit(self, features: Features, *, initial: Self | None = None, on_epoch: OnEpoch | None = None) -> Self:
        """Learn from the rows of ``features``.

        Parameters
        ----------
        features : Features
            The training rows.
        initial : detector, optional
            A fitted detector with the same window, latent, pool and features; training starts from its weights.
        on_epoch : callable, optional
            Called after each epoch of each network with the epoch, its training loss and its validation loss.

        Raises
        ------
        ConfigError
            If a parameter is out of range, the device is missing, or training fails; the message says what to change.
        DataError
            If there are fewer than 100 complete windows.
        """
        with one_thread():
            groups = self._training_windows(features)
            models = []
            for i, group in enumerate(groups):
                start = self._weights_of(initial, features.symbols[i]) if initial is not None else None
                models.append(self._fit_windows(group, start, on_epoch) if _enough(group) else {})
        self.models_ = tuple(models)
        return self

    def fit_folds(self, folds: Sequence[Features]) -> list[Self] | None:
        """A fitted clone for each fold, with all networks trained together; None if this detector cannot train that way.

        Each clone equals one fitted alone. Only dense networks without ``warm_start`` can be trained together.
        """
        if not self.stackable or self.warm_start:
            return None
        fitted: list[Any] = [clone(self) for _ in folds]
        settings = self._settings()
        with one_thread():
            groups = [one._training_windows(features) for one, features in zip(fitted, folds, strict=True)]
            chosen = [group for of_fold in groups for group in of_fold if _enough(group)]
            nets = [self._built(group).to(settings.device) for group in chosen]
            data = [TrainingData.of(group, settings.device) for group in chosen]
            try:
                trained = train_together(nets, self._loss, data, settings, [self.seed] * len(nets))
            except ConfigError as error:
                raise ConfigError(f"{self.name}: {error}") from error
            kept = zip(nets, data, trained, strict=True)
            models = iter([self._model(net, part, one.epochs, one.validation_loss) for net, part, one in kept])
        for one, of_fold in zip(fitted, groups, strict=True):
            one.models_ = tuple(next(models) if _enough(group) else {} for group in of_fold)
        return fitted

    def _training_windows(self, features: Features) -> list[Windows]:
        """Learn the scales, and return the training windows: one group for all symbols, or one for each symbol."""
        check_types(self)
        refuse_infinite(features)
        self._check(features)
        self._learn_scales(features)
        windows = self._windows(features).in_content_order()
        groups = [windows] if self.pool else [windows.take(windows.cols == i) for i in range(len(features.symbols))]
        if not any(map(_enough, groups)):
            raise DataError(
                f"{self.name} needs {MIN_ROWS} training windows of {self.window} rows without a gap, {FEWEST_LATER} of them in the "
                f"last 15 %, got {max(map(len, groups))} from {features.n_rows} training rows; lengthen train or shorten window"
            )
        return [group.evenly(self.max_windows) for group in groups]

    def _fit_windows(self, windows: Windows, start: dict[str, Any] | None, on_epoch: OnEpoch | None) -> dict[str, Any]:
        settings = self._settings()
        net = self._built(windows)
        if start is not None:
            _load(net, start["weights"])
        net.to(settings.device)
        data = TrainingData.of(windows, settings.device)
        try:
            trained = train(net, self._loss, data, settings, self.seed, on_epoch)
        except ConfigError as error:
            raise ConfigError(f"{self.name}: {error}") from error
        return self._model(net, data, trained.epochs, trained.validation_loss)

    def _built(self, windows: Windows) -> nn.Module:
        return seeded(lambda: self._network(windows.values.shape[2], windows.context.shape[1]), self.seed)

    def _model(self, net: nn.Module, data: TrainingData, epochs: int, validation_loss: float) -> dict[str, Any]:
        """The model that is kept of a trained network: weights, training record and the constants of the score."""
        with torch.no_grad():
            self._check_trained(net, data)
            more = self._learn_errors(net.double(), data)
        weights = {name: value.float().cpu().numpy() for name, value in net.state_dict().items()}
        return {"weights": weights, "epochs": epochs, "validation_loss": validation_loss, **more}

    def _settings(self) -> Settings:
        return Settings(self.epochs, self.batch_size, self.learning_rate, device=pick_device(self.device))

    def _weights_of(self, other: Self, symbol: str) -> dict[str, Any] | None:
        """The model of another detector from which training starts; None if it has no model for the symbol."""
        other._check_fitted()
        mine, theirs = self.get_params(), other.get_params()
        differ = [key for key in ("window", "latent", "pool") if mine[key] != theirs.get(key)]
        if type(other) is not type(self) or differ or other.names_ != self.names_:
            raise ConfigError(f"{self.name} can only start from a {self.name} with the same window, latent, pool and features")
        if self.pool:
            return other.models_[0]
        return other.models_[other.symbols_.index(symbol)] or None if symbol in other.symbols_ else None

    def _windows(self, features: Features) -> Windows:
        return self._windows_of(self.scaler.transform(features), features)

    def _windows_of(self, values: np.ndarray, features: Features) -> Windows:
        """The windows of standardised values of the features."""
        return Windows.of(values, self.window, self._context(values, features.start_row))

    def _score(self, features: Features) -> np.ndarray:
        return self._by_window(features, self._errors)

    def _stream(self, features: Features) -> NetworkStream:
        return NetworkStream(self, features)

    @door
    def encode(self, features: Features) -> np.ndarray:
        """Codes, shape (n_rows, n_symbols, latent); NaN where a row is not scored. The code of a row uses no later row."""
        self._check_fitted()
        width = (self._units(len(self.names_)),)
        return self._by_window(features, lambda net, _model, x, context, _: self._codes(net, x, context), width)

    @door
    def reconstruct(self, features: Features) -> np.ndarray:
        """Rows as the network rebuilds them, in the units of ``features``, shape (n_rows, n_symbols, n_features).

        Row t is the newest row of its rebuilt window; NaN where a row is not scored.
        """
        self._check_fitted()
        width = (len(self.names_),)
        rebuilt = self._by_window(features, lambda net, _model, x, context, _: self._rebuilt(net, x, context)[:, -1], width)
        center, scale = self.scaler._of(features)
        return rebuilt * scale + center

    @door
    def decode(self, codes: np.ndarray, symbol: str | None = None, context: np.ndarray | None = None) -> np.ndarray:
        """Windows decoded from codes, shape (n, window, n_features), oldest row first.

        Parameters
        ----------
        codes : ndarray, shape (n, latent)
            Codes such as ``encode`` returns.
        symbol : str, optional
            Symbol in whose units the windows are returned, and whose network decodes if symbols are not pooled. By default the
            windows are standardised.
        context : ndarray, shape (n, n_context), optional
            State of the market, for networks that are conditioned on it; by default zero, the median of the training rows.
        """
        return self._decoded(codes, symbol, context, lambda net, z, state: net.decode(z, state))

    def _decoded(self, codes: np.ndarray, symbol: str | None, context: np.ndarray | None, function: Any) -> np.ndarray:
        self._check_fitted()
        n_features = len(self.names_)
        if symbol is not None and symbol not in self.symbols_:
            raise ConfigError(f"{self.name} was fitted on {few(self.symbols_)}, got {shown(symbol)}; pass one of them")
        place = self.symbols_.index(symbol) if symbol is not None else 0
        model = self.models_[0 if self.pool else place]
        units = self._units(n_features)
        if codes.ndim != 2 or codes.shape[1] != units or not model:
            raise ConfigError(f"{self.name} decodes codes of shape (n, {units}) of a learned symbol, got {codes.shape}")
        n_context = self._n_context(n_features)
        context = np.zeros((len(codes), n_context)) if context is None else context
        net = self._restored(n_features, n_context, model).double()
        with one_thread(), torch.no_grad():
            windows = function(net, *(as_tensor(part, dtype=torch.float64) for part in (codes, context))).numpy()
        return windows if symbol is None else windows * self.scale_[place] + self.center_[place]

    def _by_window(self, features: Features, function: Callable[..., Tensor], width: tuple[int, ...] = ()) -> np.ndarray:
        """``function(net, model, x, context, target)`` for every window, shape (n_rows, n_symbols, *width); NaN elsewhere."""
        windows = self._windows(features)
        out = np.full((features.n_rows, len(features.symbols), *width), np.nan)
        groups = [(windows, self.models_[0])]
        if not self.pool:
            places = [self.symbols_.index(name) if name in self.symbols_ else -1 for name in features.symbols]
            known = [(i, self.models_[place]) for i, place in enumerate(places) if place >= 0]
            groups = [(windows.take(windows.cols == i), model) for i, model in known if model]
        device = pick_device(self.device)
        with one_thread(), torch.no_grad():
            for group, model in groups:
                if not len(group):
                    continue
                net = self._restored(group.values.shape[2], group.context.shape[1], model).double().to(device)
                for start, x, context in passes(group):
                    target, seen, state = (as_tensor(part, device, torch.float64) for part in (x, clipped(x), clipped(context)))
                    found = function(net, model, seen, state, target).cpu().numpy()
                    rows, cols = group.rows[start : start + BATCH], group.cols[start : start + BATCH]
                    out[rows, cols] = found[: len(rows)]
        return out

    def _explain_rows(self, features: Features, rows: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        if type(self)._errors is NeuralDetector._errors:
            return squares_of_windows(self, features, rows, symbols)
        return super()._explain_rows(features, rows, symbols)

    def _variants(self, features: Features, rows: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        return variants_of_windows(self, features, rows, symbols)

    def _restored(self, n_features: int, n_context: int, model: dict[str, Any]) -> nn.Module:
        net = self._network(n_features, n_context)
        _load(net, model["weights"])
        return net.eval()

    def _fits(self, model: dict[str, Any], n_features: int) -> bool:
        """Whether a restored model has the arrays of a network with these parameters."""
        expected = self._network(n_features, self._n_context(n_features)).state_dict()
        found = model["weights"]
        return set(found) == set(expected) and all(
            value.dtype == np.float32 and value.shape == tuple(expected[name].shape) and bool(np.isfinite(value).all())
            for name, value in found.items()
        )

    def _units(self, n_features: int) -> int:
        """Units of the code."""
        return self._size("latent", self.window * n_features)

    def _check(self, features: Features) -> None:
        """Refuse parameters that cannot work."""
        n_inputs = self.window * len(features.names)
        at_least = {"window": 1, "epochs": 1, "batch_size": 2, "max_windows": MIN_ROWS}
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise ConfigError(f"{name} of {self.name} must be at least {least}, got {getattr(self, name)}; raise it")
        dropout = getattr(self, "dropout", 0.0)
        if not 0 <= dropout < 1:
            raise ConfigError(f"dropout of {self.name} must lie between 0 and 1, got {dropout}; try 0.05")
        if not 0 < self.learning_rate < float("inf"):
            raise ConfigError(f"learning_rate of {self.name} must be above 0 and finite, got {self.learning_rate}; try 0.002")
        if not 1 <= self._units(len(features.names)) < n_inputs:
            raise ConfigError(
                f"latent of {self.name} must lie between 1 and {n_inputs - 1} for {len(features.names)} features and window "
                f"{self.window}, got {self.latent}; a code as large as its input keeps everything"
            )
        pick_device(self.device)

    def _context(self, values: np.ndarray, start_row: int) -> np.ndarray | None:  # noqa: ARG002 - most use the window alone
        """State of the market at each row, shape (n_rows, n_context), from standardised features; None for most networks."""
        return None

    def _n_context(self, n_features: int) -> int:  # noqa: ARG002
        return 0

    def _check_trained(self, net: nn.Module, data: TrainingData) -> None:
        """Refuse a collapsed network: it rebuilds every window alike although the windows differ."""
        rebuilt = self._rebuilt(net, data.later_x, data.later_context)
        if spread(data.later_x) > 1e-3 and spread(rebuilt) < 1e-3 * spread(data.later_x):
            raise ConfigError(
                f"{self.name} has collapsed: it rebuilds every window alike; lower learning_rate, raise epochs, or pass more rows"
            )

    def _learn_errors(self, net: nn.Module, data: TrainingData) -> dict[str, Any]:  # noqa: ARG002 - most scores need none
        """Constants of the score that are learned on the validation windows; empty for most scores."""
        return {}

    @abstractmethod
    def _network(self, n_features: int, n_context: int) -> nn.Module:
        """A network with fresh weights; its ``n_uniform`` and ``n_normal`` count the noise values per window in ``_loss``."""

    @abstractmethod
    def _loss(self, net: Any, x: Tensor, context: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:
        """Mean loss of windows (n, window, n_features)."""

    @abstractmethod
    def _codes(self, net: Any, x: Tensor, context: Tensor) -> Tensor:
        """Codes of windows, (n, latent)."""

    @abstractmethod
    def _rebuilt(self, net: Any, x: Tensor, context: Tensor) -> Tensor:
        """Windows as the network rebuilds them, (n, window, n_features)."""

    def _errors(self, net: Any, model: dict[str, Any], x: Tensor, context: Tensor, target: Tensor) -> Tensor:  # noqa: ARG002
        """Scores of windows, (n,): mean squared error of the newest row; ``x`` is ``target`` clipped."""
        return (target[:, -1] - self._rebuilt(net, x, context)[:, -1]).square().mean(dim=1)

    # By which a stream knows that nothing else is scored.
    _default_errors = _errors


def passes(windows: Windows) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Start, values and context of each pass of ``BATCH`` windows in turn; the last pass is padded with zeros."""
    for start in range(0, len(windows), BATCH):
        x, context = windows.gather(slice(start, start + BATCH))
        missing = BATCH - len(x)
        yield start, np.pad(x, ((0, missing), (0, 0), (0, 0))), np.pad(context, ((0, missing), (0, 0)))


def _enough(windows: Windows) -> bool:
    return len(windows) >= MIN_ROWS and len(windows.split(VALIDATION)[1]) >= FEWEST_LATER


def _load(net: nn.Module, weights: dict[str, np.ndarray]) -> None:
    net.load_state_dict({name: as_tensor(value) for name, value in weights.items()})


def spread(x: Tensor) -> float:
    return float(x.double().std(dim=0).max()) if len(x) > 1 else 0.0
