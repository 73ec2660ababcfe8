"""Names of a study's classes: foreshock's own, registered ones, those of installed packages, and those in a user's file."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from inspect import isfunction
from pathlib import Path
from types import ModuleType
from typing import Any

from foreshock.data.checks import did_you_mean
from foreshock.data.errors import ConfigError
from foreshock.data.plugins.contract import called
from foreshock.data.plugins.parameters import REQUIRED, check_known, mistyped, parameters_of
from foreshock.data.show.shown import few, one_line, shown


class Registry:
    """Classes by name; a module is imported when its class is requested.

    A name is looked up among foreshock's own, the registered ones, ``"package.module:Class"`` and ``"mine.py:Class"``, and the
    entry points of installed packages, in this order.

    Parameters
    ----------
    kind : str
        Name of this kind of class for messages, such as ``"detector"``.
    table : dict of str to str
        ``"module:Class"`` by name for foreshock's own classes; a module that begins with a dot belongs to ``package``.
    package : str
        Package of the relative modules in ``table``.
    group : str
        Group of the entry points of installed packages.
    accepts : callable
        Returns whether an object is a class of this kind.
    wanted : str
        Description of such a class for messages: ``"a subclass of fs.Detector"``.
    defaults : callable
        Returns the parameters of a class with their defaults.
    also : str
        Text that a message about an unknown name adds to the known names.
    """

    def __init__(
        self,
        kind: str,
        table: Mapping[str, str],
        package: str,
        group: str,
        accepts: Callable[[Any], bool],
        wanted: str,
        defaults: Callable[[type], Mapping[str, Any]] = parameters_of,
        also: str = "",
    ) -> None:
        self.kind = kind
        self.table = table
        self.package = package
        self.group = group
        self.accepts = accepts
        self.wanted = wanted
        self.defaults = defaults
        self.also = also
        self._registered: dict[str, type | str] = {}

    def names(self) -> list[str]:
        """Foreshock's own names, then the registered ones, then those of installed packages; nothing is imported."""
        return list(dict.fromkeys([*self.table, *self._registered, *self._entry_points()]))

    def register(self, name: str, cls: type | str) -> None:
        """Make a class, or ``"module:Class"``, or ``"mine.py:Class"`` known by a name; registering a name again replaces the class.

        Raises
        ------
        ConfigError
            If the name is one of foreshock's own or has a colon, or the class is not of this kind.
        """
        if not isinstance(name, str) or not name or ":" in name:
            raise ConfigError(f"the name of a {self.kind} must be a text without a colon, got {shown(name)}")
        if name in self.table:
            raise ConfigError(f"{shown(name)} is a {self.kind} of foreshock's own; register yours under another name")
        if isinstance(cls, str):
            if ":" not in cls:
                raise ConfigError(
                    f"{shown(name)} must be registered as a class, 'package.module:Class' or 'mine.py:Class', got {shown(cls)}"
                )
            module, _, attribute = cls.rpartition(":")
            # The path is resolved now, because the working directory may differ when the file is loaded.
            self._registered[name] = f"{Path(module).resolve()}:{attribute}" if module.endswith(".py") else cls
        else:
            self._registered[name] = self._checked(name, cls)

    def check(self, name: str) -> None:
        """Refuse an unknown name; its class is not imported.

        Raises
        ------
        ConfigError
            If the name is unknown; the message lists the known names and the nearest of them.
        """
        if name in self.table or name in self._registered or ":" in name or name in (listed := self.names()):
            return
        hint = did_you_mean(name, listed) or "; name a class of yours as 'mine.py:Class'"
        raise ConfigError(f"unknown {self.kind} {shown(name)}; expected one of {few(listed, 40)}{self.also}{hint}")

    def find(self, name: str, folder: str | Path | None = None) -> type:
        """The class behind a name.

        Parameters
        ----------
        name : str
            A name or a path to a class; see ``Registry``.
        folder : path, optional
            Folder of a relative path to a ``.py`` file; by default the working directory.

        Raises
        ------
        ConfigError
            If there is no such name, file, module or class, the class is not of this kind, or its module raises an error.
        """
        return self._checked(name, self.thing(name, folder))

    def thing(self, name: str, folder: str | Path | None = None) -> Any:
        """The object behind a name, of whatever kind it is; see ``find``."""
        if not isinstance(name, str):
            raise ConfigError(f"the name of a {self.kind} must be a text, got {shown(name)}")
        self.check(name)
        place = self.table.get(name)
        if place is not None:
            module, _, attribute = place.partition(":")
            return getattr(import_module(module, self.package), attribute)
        known = self._registered.get(name, name if ":" in name else None)
        if isinstance(known, type):
            return known
        if known is None:
            known = self._installed(name)
        module, _, attribute = known.rpartition(":")
        found = self._module(name, module, folder)
        if not hasattr(found, attribute):
            there = [key for key, value in vars(found).items() if self.accepts(value) and value.__module__ == found.__name__]
            made = [name for name, value in vars(found).items() if isfunction(value) and value.__module__ == found.__name__]
            # A function is a detector, too.
            others = f", functions: {few(made)}" if made and self.kind == "detector" else ""
            raise ConfigError(
                f"{one_line(module, 80)} has no class {shown(attribute)}; {self.kind}s in it: {few(there) or 'none'}{others}"
                f"{did_you_mean(attribute, [*there, *made])}"
            )
        return getattr(found, attribute)

    def check_entry(
        self, name: str, params: Mapping[str, Any], folder: str | Path | None = None, where: Callable[[str], str] | None = None
    ) -> None:
        """Refuse what ``make`` would refuse, before anything is made."""
        self.check_parameters(name, self.find(name, folder), params, where)

    def make(self, name: str, params: Mapping[str, Any], folder: str | Path | None = None) -> Any:
        """An object of the class behind a name, with checked parameters; see ``find``.

        Raises
        ------
        ConfigError
            As ``find``; also if a parameter is unknown or missing, or its value has the wrong type.
        """
        cls = self.find(name, folder)
        self.check_parameters(name, cls, params)
        return called(name, "__init__", lambda: cls(**params))

    def name_of(self, cls: type) -> str:
        """The name by which ``find`` returns this class: foreshock's own, a registered one, or the class's module or file."""
        for name, place in self.table.items():
            module, _, attribute = place.partition(":")
            if cls.__name__ == attribute and cls.__module__ == importlib.util.resolve_name(module, self.package):
                return name
        for name, known in self._registered.items():
            if known is cls:
                return name
        path = getattr(sys.modules.get(cls.__module__), "__file__", None)
        return f"{path if cls.__module__.startswith(_PREFIX) else cls.__module__}:{cls.__name__}"

    def check_parameters(self, name: str, cls: type, params: Mapping[str, Any], where: Callable[[str], str] | None = None) -> None:
        """Refuse unknown and missing parameters and values of the wrong type; ``where`` names a parameter in messages."""
        defaults = called(name, "__init__", lambda: self.defaults(cls))
        check_known(name, params, defaults)
        missing = [key for key, value in defaults.items() if value is REQUIRED and key not in params]
        if missing:
            raise ConfigError(f"{name} needs {', '.join(missing)}; pass {'it' if len(missing) == 1 else 'them'}")
        wrong = mistyped(cls, params, defaults)
        if wrong is not None:
            raise ConfigError(f"{where(wrong[0]) if where else f'{wrong[0]} of {name}'} {wrong[1]}")

    def _checked(self, name: str, cls: Any) -> type:
        if not isinstance(cls, type) or not self.accepts(cls):
            got = f"class {cls.__name__}" if isinstance(cls, type) else shown(cls)
            raise ConfigError(f"{shown(name)} is not a {self.kind}: it must be {self.wanted}, got {got}")
        return cls

    def _module(self, name: str, module: str, folder: str | Path | None) -> ModuleType:
        try:
            return load_file(Path(folder or ".") / module) if module.endswith(".py") else import_module(module)
        except FileNotFoundError as error:
            if error.filename is not None and Path(error.filename).name == Path(module).name:
                raise ConfigError(f"{self.kind} {shown(name)}: no such file: {one_line(str(error.filename), 200)}") from error
            raise self._raised(name, module, error) from error
        except ModuleNotFoundError as error:
            if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
                raise ConfigError(
                    f"{self.kind} {shown(name)}: no module {shown(error.name)} is installed; install it, "
                    f"or name a file, 'mine.py:Class'"
                ) from error
            raise self._raised(name, module, error) from error
        # A module's code may raise any error, or exit the program.
        except (Exception, SystemExit) as error:
            raise self._raised(name, module, error) from error

    def _raised(self, name: str, module: str, error: BaseException) -> ConfigError:
        said = " ".join(str(error).split())
        return ConfigError(
            f"{self.kind} {shown(name)} cannot be loaded, importing {one_line(module, 80)} raised "
            f"{type(error).__name__}: {one_line(said, 200)}"
        )

    def _entry_points(self) -> dict[str, list[EntryPoint]]:
        """Entry points by name, more than one where installed packages disagree; a name of foreshock's own cannot be taken."""
        found: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=self.group):
            others = found.setdefault(point.name, [])
            if all(other.value != point.value for other in others):
                others.append(point)
        return {name: points for name, points in found.items() if name not in self.table and ":" not in name}

    def _installed(self, name: str) -> str:
        points = self._entry_points()[name]
        if len(points) > 1:
            places = " and ".join(point.value for point in points)
            raise ConfigError(f"two installed packages call a {self.kind} {name!r}, {places}; remove one of them")
        return points[0].value


_PREFIX = "_foreshock_file_"
# Modules of users' files by path, with the digest of the source that was run.
_FILES: dict[Path, tuple[str, ModuleType]] = {}


def load_file(path: str | Path) -> ModuleType:
    """The module of a file, which runs once, and again after it has changed; its objects can be sent to worker processes.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    import cloudpickle

    path = Path(path).resolve()
    source = path.read_bytes()
    digest = hashlib.sha256(source).hexdigest()
    loaded = _FILES.get(path)
    if loaded is not None and loaded[0] == digest:
        return loaded[1]
    stem = re.sub(r"\W", "_", path.stem)
    name = f"{_PREFIX}{stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_loader(name, loader=None, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    before = sys.modules.get(name)
    # Dataclasses and type hints look up their module in ``sys.modules`` while it runs.
    sys.modules[name] = module
    try:
        exec(compile(source, str(path), "exec", dont_inherit=True), vars(module))
    except BaseException:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise
    # A worker process does not have this module, so its classes are pickled with their code.
    cloudpickle.register_pickle_by_value(module)
    _FILES[path] = digest, module
    return module
