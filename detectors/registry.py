"""Names of detectors, and how one is built or loaded by its name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from data.checks import check_type, did_you_mean
from data.errors import ConfigError, DataError
from data.shown import shown
from detectors.base import Detector, read_saved
from detectors.ensemble import Ensemble
from detectors.half_space_trees import HalfSpaceTrees
from detectors.isolation_forest import IsolationForest
from detectors.joint_tail import JointTail
from detectors.one_class_svm import OneClassSVM
from detectors.parameter_types import check_types
from detectors.pca import PCA
from detectors.pyod_adapter import PREFIX, pyod_class
from detectors.random import Random
from detectors.regimes import KMeansRegime
from detectors.statistical import InterquartileRange, MedianAbsoluteDeviation, RollingVolatility, VolatilityOnly, ZScore

_CLASSES: tuple[type[Detector], ...] = (
    ZScore,
    InterquartileRange,
    MedianAbsoluteDeviation,
    RollingVolatility,
    IsolationForest,
    OneClassSVM,
    PCA,
    KMeansRegime,
    HalfSpaceTrees,
    Ensemble,
    JointTail,
)
_BASELINES: tuple[type[Detector], ...] = (Random, VolatilityOnly)
# Module and class of the networks, by name: torch takes seconds to import, so a module is imported when its name is asked for.
_NEURAL: dict[str, tuple[str, str]] = {
    "autoencoder": ("autoencoder", "Autoencoder"),
    "sparse_autoencoder": ("sparse", "SparseAutoencoder"),
    "denoising_autoencoder": ("denoising", "DenoisingAutoencoder"),
    "conv_autoencoder": ("convolutional", "ConvolutionalAutoencoder"),
    "vae": ("variational", "VAE"),
    "beta_vae": ("variational", "BetaVAE"),
    "conditional_autoencoder": ("conditional", "ConditionalAutoencoder"),
    "seq2seq_autoencoder": ("seq2seq", "Seq2SeqAutoencoder"),
    "anogan": ("anogan", "AnoGAN"),
}
PRETRAINED = "pretrained:"
_SHIPPED = ("anogan_book",)
_LOADED: dict[str, type[Detector]] = {cls.name: cls for cls in (*_CLASSES, *_BASELINES)}
_NAMES = (*(cls.name for cls in _CLASSES), *_NEURAL, *(cls.name for cls in _BASELINES))


def detectors() -> list[str]:
    """The registered names, baselines last. ``pyod:<Name>`` works besides, for every model of PyOD.

    >>> detectors()[:3]
    ['zscore', 'iqr', 'mad']
    """
    return list(_NAMES)


def neural_detectors() -> list[str]:
    """The registered names of networks.

    >>> neural_detectors()[:1]
    ['autoencoder']
    """
    return list(_NEURAL)


def detector_class(name: str) -> type[Detector]:
    """The class behind a name."""
    if isinstance(name, str) and name.startswith(PREFIX):
        return pyod_class(name)
    if not isinstance(name, str) or name not in _NAMES:
        hint = did_you_mean(name, _NAMES) or "; see foreshock detectors"
        raise ConfigError(f"unknown detector {shown(name)}; expected one of {', '.join(_NAMES)}, {PREFIX}<Name>{hint}")
    if name in _NEURAL:
        module, cls = _NEURAL[name]
        return getattr(import_module(f"detectors.neural.{module}"), cls)
    return _LOADED[name]


def make_detector(name: str, **params: Any) -> Detector:
    """A detector by name.

    Raises
    ------
    ConfigError
        If the name, or a parameter of it, is unknown, or a value is of the wrong type.
    """
    cls = detector_class(name)
    known = list(cls().get_params())
    unknown = [key for key in params if key not in known]
    if unknown:
        hint = did_you_mean(unknown[0], known)
        raise ConfigError(f"unknown parameter of {name}: {', '.join(unknown)}; expected some of {', '.join(known) or 'none'}{hint}")
    detector = cls(**params)
    check_types(detector)
    return detector


def as_detector(entry: str | Detector) -> Detector:
    """The detector itself, or that of a name.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    if isinstance(entry, str):
        return make_detector(entry)
    if not isinstance(entry, Detector):
        raise ConfigError(
            f"a detector must be a name or a Detector, got {shown(entry)}; such as 'zscore' or fs.make_detector('zscore')"
        )
    return entry


def load_detector(path: str | Path) -> Detector:
    """A fitted detector from a file that ``Detector.save`` wrote. Nothing is unpickled.

    Parameters
    ----------
    path : str or Path
        ``"pretrained:anogan_book"`` is the AnoGAN that comes with foreshock: it scores ``book_features(book, LEVEL_FEATURES)`` of a
        simulated book. Its card is ``detectors/neural/shipped/anogan_book.json``, its training ``examples/train_anogan.py``.

    Raises
    ------
    ConfigError
        If no pretrained detector has that name.
    DataError
        If the file is damaged, was changed, or is of a newer format.
    """
    if isinstance(path, str) and path.startswith(PRETRAINED):
        path = _shipped(path.removeprefix(PRETRAINED))
    check_type("path", path, (str, Path), "give the file that save wrote")
    name, params, learned = read_saved(path)
    if "n_steps" in params:
        raise DataError(f"{path} holds a scenario model, {name}; load it with fs.load_scenario_model")
    detector = make_detector(name, **params)
    missing = [key for key in detector.learned if key not in learned]
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}, which a {name} needs; save the detector again")
    try:
        return detector.restore(learned)
    except (KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{path} is not a whole {name}: {error}; save the detector again") from error


def _shipped(name: str) -> Path:
    if name not in _SHIPPED:
        known = ", ".join(PRETRAINED + shipped for shipped in _SHIPPED)
        raise ConfigError(f"no pretrained detector is called {shown(name)}; expected {known}")
    return Path(__file__).parent / "neural" / "shipped" / f"{name}.safetensors"
