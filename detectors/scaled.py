"""Detectors that see rows standardised by the median and interquartile range of each symbol."""

from __future__ import annotations

from copy import copy
from typing import Any, Self

import numpy as np

from foreshock.data.checks import check_type
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.shown import few
from foreshock.detectors.base import Detector
from foreshock.detectors.scaling import RobustScaler
from foreshock.engine.features.features import Features


class ScaledDetector(Detector):
    """Base of the detectors that standardise rows per symbol, by median and interquartile range of the training rows."""

    learned = ("symbols_", "names_", "center_", "scale_")
    # The centres are the medians of the training rows.
    keeps_typical = False
    symbols_: tuple[str, ...]
    names_: tuple[str, ...]
    center_: np.ndarray
    scale_: np.ndarray

    @property
    def scaler(self) -> RobustScaler:
        """The scaler that the training rows determined."""
        return RobustScaler(self.symbols_, self.names_, self.center_, self.scale_)

    def _learn_scales(self, features: Features) -> None:
        learned = RobustScaler.learn(features)
        self.symbols_, self.names_, self.center_, self.scale_ = learned.symbols, learned.names, learned.center, learned.scale

    def rescaled(self, features: Features) -> Self:
        """A copy that standardises rows by the median and interquartile range of these, and scores their symbols.

        What the detector learned stays as it is: a model of one market, such as a pretrained one, is held against another in the
        units of that market. The rows should lie before those that are scored.

        Parameters
        ----------
        features : Features
            Rows of the other market, with the features that the detector was fitted on.

        Raises
        ------
        ConfigError
            If the detector is not fitted, has a model for each symbol, or was fitted on other features.
        DataError
            If no symbol has 100 rows with all features known, or a feature is never known.

        Examples
        --------
        >>> import foreshock as fs
        >>> from dataclasses import replace
        >>> book = replace(fs.simulate_book(seed=5, n_rows=600).book, symbol="OTHER/USDT")
        >>> features = fs.book_features(book, fs.LEVEL_FEATURES)
        >>> learned = fs.load_detector("pretrained:anogan_book").rescaled(features.rows(slice(0, 300)))
        >>> learned.score(features.rows(slice(300, None)))  # doctest: +ELLIPSIS
        Scores(OTHER/USDT, 300 rows of 5s, 2024-01-01T00:25:00 to 2024-01-01T00:49:55, ...% scored)
        """
        self._check_fitted()
        check_type("features", features, Features, "make them with fs.book_features or fs.ohlcv_features")
        if not getattr(self, "pool", True):
            raise ConfigError(f"{self.name} has a model for each symbol and knows no other; fit it with pool=True")
        if features.names != self.names_:
            raise ConfigError(
                f"{self.name} was fitted on the features {few(self.names_)}, got {few(features.names)}; compute the same"
            )
        never = [name for k, name in enumerate(features.names) if np.isnan(features.values[:, :, k]).all()]
        if never:
            raise DataError(
                f"{self.name} needs all of its {len(features.names)} features, of which {few(features.symbols, 3)} never has "
                f"{len(never)}: {few(never, 3)}; pass rows that have them, or fit another on those that are there"
            )
        other = copy(self)
        other._learn_scales(features)
        return other

    def _whole(self) -> bool:
        # Kernels do not check bounds, so an index from a damaged file that points outside an array must be refused here.
        shape = (len(self.symbols_), len(self.names_))
        return super()._whole() and self.center_.shape == self.scale_.shape == shape and self._parts_fit()

    def _parts_fit(self) -> bool:
        """Whether the restored arrays other than the scales have valid shapes and indices."""
        raise NotImplementedError


class ModelDetector(ScaledDetector):
    """Base of the detectors that learn one model for all symbols (``pool``) or one for each; a model with too few rows is empty."""

    learned = (*ScaledDetector.learned, "models_")
    pool: bool
    models_: tuple[dict[str, Any], ...]

    def _check(self, features: Features) -> None:
        """Refuse parameters that cannot work; a subclass may override it, the base accepts all."""

    def _size(self, parameter: str, n_inputs: int) -> int:
        """The size of a code, a parameter; where its default is no smaller than the input, one less than the input.

        So the defaults fit features of any number but one; a size that was asked for is used, or refused by ``_check``.
        """
        wanted = getattr(self, parameter)
        if not 1 < n_inputs <= wanted:
            return wanted
        usual = type(self)().get_params(deep=False)[parameter]
        return n_inputs - 1 if wanted == usual else wanted

    def _parts_fit(self) -> bool:
        wanted = 1 if self.pool else len(self.symbols_)
        models = [model for model in self.models_ if isinstance(model, dict)]
        return len(models) == len(self.models_) == wanted and all(self._fits(one, len(self.names_)) for one in models if one)

    def _fits(self, model: dict[str, Any], n_features: int) -> bool:
        """Whether the arrays of a restored model have valid shapes and indices."""
        raise NotImplementedError
