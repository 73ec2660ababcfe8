"""The registry of detectors: names, and functions that build or load a detector by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foreshock.data.checks import check_path, check_text, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.plugins.registry import Registry
from foreshock.data.show.shown import few, shown

if TYPE_CHECKING:
    from foreshock.detectors.base import Detector

# A module is imported only when its detector is requested, because scikit-learn and torch take seconds to import.
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
    # Baselines, listed last.
    "random": ".random:Random",
    "volatility_only": ".statistical.rolling:VolatilityOnly",
    "range_only": ".statistical.rolling:RangeOnly",
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
    """The registry of detectors, which also finds every PyOD model."""

    def find(self, name: str, folder: str | Path | None = None) -> type:
        if name.startswith(PYOD):
            from foreshock.detectors.pyod_adapter import pyod_class

            return pyod_class(name)
        return super().find(name, folder)

    def make(self, name: str, params: Mapping[str, Any], folder: str | Path | None = None) -> Any:
        """As ``Registry.make``; ``"mine.py:Name"`` may also be a model or its class, a torch module, a function, or a table."""
        found = self._foreign(name, folder)
        if found is None:
            return super().make(name, params, folder)
        from foreshock.detectors.own.adapt import made

        return made(found, name, dict(params), self._label(name))

    def check_entry(
        self, name: str, params: Mapping[str, Any], folder: str | Path | None = None, where: Callable[[str], str] | None = None
    ) -> None:
        if self._foreign(name, folder) is None:
            super().check_entry(name, params, folder, where)
        else:
            self.make(name, params, folder)

    def _foreign(self, name: str, folder: str | Path | None) -> Any:
        """The object behind a name if it is not a class of detectors, else None."""
        if not isinstance(name, str) or name.startswith(PYOD) or name in self.table:
            return None
        found = self.thing(name, folder)
        return None if isinstance(found, type) and self.accepts(found) else found

    def _label(self, name: str) -> str | None:
        """A label of an object of a file or module: the name by which it stands there; a class has its own."""
        label = name.rpartition(":")[2]
        return label if label.isidentifier() and not label[:1].isupper() else None


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
    """Names of the registered detectors.

    The detectors of foreshock come first, with the baselines last among them; then come the names from ``register_detector`` and
    from installed packages. ``make_detector`` also accepts ``"pyod:<Name>"`` for every PyOD model, ``"package.module:Class"`` and
    ``"mine.py:Class"``, which are not listed. No detector is imported.

    Returns
    -------
    list of str

    Examples
    --------
    >>> import foreshock as fs
    >>> fs.detectors()[:3]
    ['zscore', 'iqr', 'mad']
    """
    return DETECTORS.names()


def neural_detectors() -> list[str]:
    """The registered names of the network detectors.

    >>> neural_detectors()[:1]
    ['autoencoder']
    """
    return [name for name, place in _TABLE.items() if place.startswith(".neural.")]


@door
def register_detector(name: str, cls: type[Detector] | str) -> None:
    """Register your own detector under a name, for the scripts and study files of this process.

    An installed package registers detectors for every process with an entry point of the group ``foreshock.detectors``.

    Parameters
    ----------
    name : str
        The new name. It must not be a name of foreshock's own detectors; a name that you registered before is replaced.
    cls : type or str
        A subclass of ``Detector``, or its place, ``"package.module:Class"`` or ``"mine.py:Class"``, which is imported when the
        detector is first requested.

    Raises
    ------
    ConfigError
        If the name is taken, or the class is not a detector.

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
    """The class of a name; the path of a ``.py`` file is relative to ``folder``, by default the working directory."""
    return DETECTORS.find(name, folder)


@door
def make_detector(name: str, **params: Any) -> Detector:
    """Build a detector by name.

    Parameters
    ----------
    name : str
        One of ``fs.detectors()``, ``"pyod:<Name>"``, ``"package.module:Class"`` or ``"mine.py:Class"``. The code of such a module
        is run.
    **params
        Parameters of the detector; the others have their defaults.

    Returns
    -------
    Detector
        A new, unfitted detector.

    Raises
    ------
    ConfigError
        If the name or a parameter is unknown, or a value is of the wrong type; if a module raises when it is imported, has no such
        class, or the class is not a detector.

    Examples
    --------
    >>> import foreshock as fs
    >>> fs.make_detector("zscore", window=24).lookback
    24
    """
    check_text("name", name)
    return DETECTORS.make(name, params)


@door
def as_detector(entry: Any, name: str | None = None, **params: Any) -> Detector:
    """Whatever detects, as a detector: a name, a detector, or a thing of your own.

    Parameters
    ----------
    entry : object
        A name, as ``make_detector`` takes it; a ``Detector``, which is returned as it is; a model with ``fit`` and
        ``score_samples`` or ``decision_function``, such as those of scikit-learn and PyOD; a torch module that rebuilds rows, which
        is trained for each fold; a function from a DataFrame of one symbol, indexed by time, to a score for each row; or a table,
        or the path of a CSV, Parquet or Feather file, of scores: see ``PrecomputedScores``.
    name : str, optional
        Name of a thing of your own; by default that of its class, function or file.
    **params
        A name takes its parameters, a function further keywords, a model ``pool``, ``max_rows`` and ``seed``, and a module also
        ``epochs``, ``batch_size`` and ``learning_rate``.

    Returns
    -------
    Detector
        ``fs.Study``, ``fs.validate`` and the like call this for each of their detectors.

    Raises
    ------
    ConfigError
        If ``entry`` is none of these.

    Examples
    --------
    >>> import foreshock as fs
    >>> from sklearn.svm import OneClassSVM
    >>> fs.as_detector("zscore", window=24), fs.as_detector(OneClassSVM(nu=0.1), "svm").name
    (ZScore(window=24), 'svm')
    >>> fs.as_detector(lambda frame: frame["range"], "wide").name
    'wide'
    """
    from foreshock.detectors.own.adapt import FILES, adapted

    given: Any = entry
    path = isinstance(entry, Path) or (isinstance(entry, str) and entry.lower().endswith(FILES))
    if isinstance(entry, str) and not path:
        if name is not None:
            raise ConfigError(f"{shown(entry)} has its name already; to call it {shown(name)} in a study, pass a dict of labels")
        return make_detector(entry, **params)
    if not isinstance(entry, type) and _is_detector(type(entry)):
        if params or name is not None:
            raise ConfigError(f"{shown(entry)} is a detector and is taken as it is; leave the other arguments out")
        return given
    return adapted(entry, name, **params)


@door
def load_detector(path: str | Path) -> Detector:
    """Load a fitted detector from a file that ``Detector.save`` wrote. Nothing is unpickled.

    Parameters
    ----------
    path : str or Path
        The saved file, or ``"pretrained:anogan_book"`` for the AnoGAN that comes with foreshock, which scores
        ``book_features(book, LEVEL_FEATURES)`` of a simulated book, and by ``rescaled`` those of another market. Its card is
        ``detectors/neural/shipped/anogan_book.json``, its training script ``examples/train_anogan.py``. A detector of your own
        must be registered by ``register_detector`` under the ``name`` of its class.

    Returns
    -------
    Detector
        A fitted detector with the saved parameters.

    Raises
    ------
    ConfigError
        If no pretrained detector has that name.
    DataError
        If the file is damaged, was changed after it was saved, or is of a newer format.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import foreshock as fs
    >>> features = fs.ohlcv_features(fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars)
    >>> detector = fs.make_detector("pca", n_components=3).fit(features)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     detector.save(Path(folder) / "pca")
    ...     loaded = fs.load_detector(Path(folder) / "pca")
    >>> loaded
    PCA(n_components=3)
    >>> bool((loaded.score(features).values[200:] == detector.score(features).values[200:]).all())
    True
    """
    from foreshock.detectors.saved import owned, read_saved

    if isinstance(path, str) and path.startswith(PRETRAINED):
        path = _shipped(path.removeprefix(PRETRAINED))
    check_type("path", path, (str, Path), "pass the file that save wrote")
    check_path("path", path)
    name, params, learned, cls = read_saved(path)
    if "n_steps" in params:
        raise DataError(f"{path} holds a scenario model, {name}; load it with fs.load_scenario_model")
    detector = make_detector(name, **params)
    if cls and cls != owned(type(detector)):
        raise DataError(
            f"{path} was saved by another class, {cls}, and {shown(name)} is {owned(type(detector))} here; give your class a name "
            f"of its own and save it again"
        )
    return restored(detector, learned, path)


def restored(detector: Detector, learned: dict[str, Any], path: str | Path) -> Detector:
    """The detector, restored from the learned state that ``read_saved`` read from ``path``."""
    missing = [key for key in detector.learned if key not in learned]
    if missing:
        raise DataError(f"{path} lacks {few(missing)}, which a {detector.name} needs; save the detector again")
    try:
        detector.restore(learned)
        detector.typical_ = learned.get("typical_")
        return detector
    except (KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{path} is not a complete {detector.name}: {error}; save the detector again") from error


def _shipped(name: str) -> Path:
    if name not in _SHIPPED:
        known = ", ".join(PRETRAINED + shipped for shipped in _SHIPPED)
        raise ConfigError(f"no pretrained detector is called {shown(name)}; expected {known}")
    return Path(__file__).parent / "neural" / "shipped" / f"{name}.safetensors"
