"""The exceptions of foreshock: one base class, and one class for each exit code of the command line."""


class ForeshockError(Exception):
    """Base class of every error that foreshock raises on purpose; ``exit_code`` is that of the command line.

    Examples
    --------
    >>> import foreshock as fs
    >>> try:
    ...     fs.read_bars("nowhere.csv")
    ... except fs.ForeshockError as error:
    ...     print(type(error).__name__, error.exit_code)
    DataError 3
    """

    exit_code = 5


class ConfigError(ForeshockError, ValueError):
    """A parameter, configuration key or call is invalid.

    Examples
    --------
    >>> import foreshock as fs
    >>> fs.simulate_market(n_bars=1)
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: n_bars must be a whole number of at least 2, got 1; pass one
    """

    exit_code = 2


class CallError(ConfigError, TypeError):
    """A call has an argument too many or too few, which Python itself could not see."""


class DataError(ForeshockError, ValueError):
    """Market data are malformed, too short or missing.

    Examples
    --------
    >>> import foreshock as fs
    >>> fs.read_bars("nowhere.csv")
    Traceback (most recent call last):
    ...
    foreshock.data.errors.DataError: no such file or folder: nowhere.csv; pass a CSV, Parquet or Feather file
    """

    exit_code = 3


class ExchangeError(ForeshockError):
    """An exchange, or the network, did not give what was requested.

    Examples
    --------
    >>> import foreshock as fs
    >>> issubclass(fs.ExchangeError, fs.ForeshockError), fs.ExchangeError.exit_code
    (True, 4)
    """

    exit_code = 4
