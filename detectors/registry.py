"""Names of detectors, and how one is built or loaded by its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from foreshock.data.checks import check_path, check_text, check_type
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.plugins.registry import Registry
from foreshock.data.show.shown import few, shown

if TYPE_CHECKING:
    from foreshock.detectors.base import Detector

# No module is imported before its name is asked for: scikit-learn and torch take seconds.
_TABLE = {
    "zscore": ".statistical.rolling:ZScore",
    "iqr": ".statistical.rolling:InterquartileRange",
    "mad": ".statistical.rolling:MedianAbsoluteDeviation",
    "rolling_volatility": ".statistical.rolling:RollingVolatility",
    "isolation_forest": ".trees.isolation_forest:IsolationForest",
    "one_class_svm": ".kernels.one_class_svm:OneClassSVM",
    "pca": ".reconstruction.pca:PCA",
    "kmeans_regime": ".clusters.regimes:KMeansRegime",
    "half_space_trees": ".trees.half_space_trees:HalfSpaceTrees",
    "ensemble": ".ensemble:Ensemble",
    "joint_tail": ".statistical.joint_tail:JointTail",
    "autoencoder": ".neural.reconstruction.autoencoder:Autoencoder",
    "sparse_autoencoder": ".neural.reconstruction.sparse:SparseAutoencoder",
    "denoising_autoencoder": ".neural.reconstruction.denoising:DenoisingAutoencoder",
    "conv_autoencoder": ".neural.reconstruction.convolutional:ConvolutionalAutoencoder",
    "vae": ".neural.generative.variational:VAE",
    "beta_vae": ".neural.generative.variational:BetaVAE",
    "conditional_autoencoder": ".neural.reconstruction.conditional:ConditionalAutoencoder",
    "seq2seq_autoencoder": ".neural.reconstruction.seq2seq:Seq2SeqAutoencoder",
    "anogan": ".neural.generative.anogan:AnoGAN",
    # The baselines.
    "random": ".random:Random",
    "volatility_only": ".statistical.rolling:VolatilityOnly",
}
PYOD = "pyod:"
PRETRAINED = "pretrained:"
_SHIPPED = ("anogan_book",)


def _is_detector(cls: Any) -> bool:
    from foreshock.detectors.base import Detector

    return isinstance(cls, type) and issubclass(cls, Detector) and cls is not Detector


def _defaults(cls: type) -> dict[str, Any]:
    from foreshock.detectors.parameter_types import defaults_of

    return defaults_of(cls)


class _Detectors(Registry):
    """The registry of detectors, to which every model of PyOD belongs too."""

    def find(self, name: str, folder: str | Path | None = None) -> type:
        if name.startswith(PYOD):
            from foreshock.detectors.pyod_adapter import pyod_class

            return pyod_class(name)
        return super().find(name, folder)


DETECTORS = _Detectors(
    "detector",
    _TABLE,
    str(__package__),
    "foreshock.detectors",
    _is_detector,
    "a subclass of fs.Detector",
    _defaults,
    f", {PYOD}<Name>",
)


def detectors() -> list[str]:
    """The registered names, our baselines last of ours; then those of ``register_detector`` and of installed packages.

    ``pyod:<Name>`` works besides, for every model of PyOD, as do ``"package.module:Class"`` and ``"mine.py:Class"``. No detector is
    imported.

    >>> import foreshock as fs
    >>> fs.detectors()[:3]
    ['zscore', 'iqr', 'mad']
    """
    return DETECTORS.names()


def neural_detectors() -> list[str]:
    """The registered names of networks.

    >>> neural_detectors()[:1]
    ['autoencoder']
    """
    return [name for name, place in _TABLE.items() if place.startswith(".neural.")]


def register_detector(name: str, cls: type[Detector] | str) -> None:
    """Make a detector of yours known by a name, in scripts and study files of this process.

    An installed package does so for every process with an entry point of the group ``foreshock.detectors``.

    Parameters
    ----------
    name : str
        Not one of foreshock's own; a name that you have registered before is replaced.
    cls : type or str
        A subclass of ``Detector``, or where it is, ``"package.module:Class"`` or ``"mine.py:Class"``, imported when first asked
        for.

    Raises
    ------
    ConfigError
        If the name is taken, or the class is no detector.

    Examples
    --------
    >>> import foreshock as fs
    >>> class LastMove(fs.Detector):
    ...     def _score(self, features):
    ...         return abs(features.column("log_return"))
    >>> fs.register_detector("zscore", LastMove)
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: 'zscore' is a detector of foreshock's own; register yours under another name
    """
    DETECTORS.register(name, cls)


def detector_class(name: str, folder: str | Path | None = None) -> type[Detector]:
    """The class behind a name; the path of a ``.py`` file begins at ``folder``, by default the working directory."""
    return DETECTORS.find(name, folder)


def make_detector(name: str, **params: Any) -> Detector:
    """A detector by name.

    Parameters
    ----------
    name : str
        One of ``fs.detectors()``, ``"pyod:<Name>"``, ``"package.module:Class"`` or ``"mine.py:Class"``, whose code is then run.
    **params
        Of the detector.

    Raises
    ------
    ConfigError
        If the name, or a parameter of it, is unknown, or a value is of the wrong type; if a module raises when it is imported,
        has no such class, or the class is no detector.

    Examples
    --------
    >>> import foreshock as fs
    >>> fs.make_detector("zscore", window=24).lookback
    24
    """
    check_text("name", name)
    return DETECTORS.make(name, params)


def as_detector(entry: str | Detector) -> Detector:
    """The detector itself, or that of a name.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    if isinstance(entry, str):
        return make_detector(entry)
    if isinstance(entry, type) or not _is_detector(type(entry)):
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
        simulated book. Its card is ``detectors/neural/shipped/anogan_book.json``, its training ``examples/train_anogan.py``. A
        detector of your own is found by the name that its class has, once ``register_detector`` knows it.

    Raises
    ------
    ConfigError
        If no pretrained detector has that name.
    DataError
        If the file is damaged, was changed, or is of a newer format.
    """
    from foreshock.detectors.base import read_saved

    if isinstance(path, str) and path.startswith(PRETRAINED):
        path = _shipped(path.removeprefix(PRETRAINED))
    check_type("path", path, (str, Path), "give the file that save wrote")
    check_path("path", path)
    name, params, learned = read_saved(path)
    if "n_steps" in params:
        raise DataError(f"{path} holds a scenario model, {name}; load it with fs.load_scenario_model")
    return restored(make_detector(name, **params), learned, path)


def restored(detector: Detector, learned: dict[str, Any], path: str | Path) -> Detector:
    """The detector with what ``read_saved`` has read from ``path``."""
    missing = [key for key in detector.learned if key not in learned]
    if missing:
        raise DataError(f"{path} lacks {few(missing)}, which a {detector.name} needs; save the detector again")
    try:
        return detector.restore(learned)
    except (KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{path} is not a whole {detector.name}: {error}; save the detector again") from error


def _shipped(name: str) -> Path:
    if name not in _SHIPPED:
        known = ", ".join(PRETRAINED + shipped for shipped in _SHIPPED)
        raise ConfigError(f"no pretrained detector is called {shown(name)}; expected {known}")
    return Path(__file__).parent / "neural" / "shipped" / f"{name}.safetensors"
