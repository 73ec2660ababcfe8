"""The exceptions of foreshock: one root, one class for each exit code of the command line."""


class ForeshockError(Exception):
    """Root of every error that foreshock raises on purpose."""

    exit_code = 1


class ConfigError(ForeshockError, ValueError):
    """A parameter, configuration key or call that cannot be carried out as written."""

    exit_code = 2


class DataError(ForeshockError, ValueError):
    """Market data that is malformed, too short, or not there."""

    exit_code = 3


class ExchangeError(ForeshockError):
    """An exchange or the network between did not give what was asked for."""

    exit_code = 4
