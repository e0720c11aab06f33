"""Which strategies there are: ours, those of installed packages, and any class by its place.

    strategy=budget                         a file of this folder
    strategy=mcts                           an entry point of the group `lm_eval_tts.strategies`
    strategy=my_package.my_module:MCTS      a class in a module that Python can import
    strategy=my_file.py:MCTS                a class in a file

A file is looked for in the current folder, then in the folders of --include_path and of the task
files that are named by their path, then below these. Nothing is imported before it is named."""

import glob
import hashlib
import inspect
import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from lm_eval_tts.errors import SettingsError, unknown_name
from lm_eval_tts.strategies.base import Strategy

logger = logging.getLogger(__name__)

_HERE = Path(__file__).parent
BUILT_IN = tuple(sorted({path.stem for path in _HERE.glob("[a-z]*.py")} - {"base", "registry"}))
# What strategies are called in papers, other projects and the names of our tasks.
_OTHER_NAMES = {
    **dict.fromkeys(("maj", "majority", "majority_vote", "vote", "voting"), "self_consistency"),
    **dict.fromkeys(("sc", "cot_sc", "self_consistent"), "self_consistency"),
    **dict.fromkeys(("bon", "best_of", "bestofn", "rerank"), "best_of_n"),
    **dict.fromkeys(("bf", "s1", "wait", "budget_forcing"), "budget"),
    **dict.fromkeys(("greedy", "none", "standard", "cot", "zeroshot"), "single"),
    **dict.fromkeys(("pf", "smc", "particle_filtering"), "particle"),
    **dict.fromkeys(("beam_search", "search"), "beam"),
}
GROUP = "lm_eval_tts.strategies"
_folders: dict[Path, None] = {}  # where files are looked for, as sys.path is for modules


def search_also(paths: Iterable[str | Path]) -> None:
    """Look for files with strategies in these folders too, or next to these files."""
    for path in map(Path, paths):
        folder = path if path.is_dir() else path.parent
        if path.exists():
            _folders[folder.resolve()] = None


def find_strategy(name: str) -> type[Strategy]:
    """Return a strategy by its name or place. Raises SettingsError if there is none, it cannot be
    imported, or it is not a strategy."""
    if name in BUILT_IN:
        (kind,) = _strategies_in(import_module(f"{__package__}.{name}")).values()
        return kind
    if name in installed():
        with _explained(name):
            kind = installed()[name].load()
        return _checked(name, kind)
    place, colon, class_name = name.rpartition(":")
    if not colon:
        nearest = _OTHER_NAMES.get(name.lower().replace("-", "_"))
        known = unknown_name("strategy", name, [*BUILT_IN, *installed()], nearest)
        raise SettingsError(f"{known}, or <file>.py:<Class>, or <module>:<Class>")
    module = _module_at(name, place)
    if not hasattr(module, class_name):
        raise unknown_name(f"strategy in {place}", class_name, _strategies_in(module))
    return _checked(name, getattr(module, class_name))


def named_strategies() -> dict[str, type[Strategy]]:
    """Return the strategies that have a name; a broken package costs a warning, not the run."""
    found = {name: find_strategy(name) for name in BUILT_IN}
    for name in installed():
        try:
            found[name] = find_strategy(name)
        except SettingsError as error:
            logger.warning("%s", error)
    return found


def names_within_n() -> list[str]:
    """Return the names of those that answer within a number `n` of samples."""
    return [name for name, kind in named_strategies().items() if kind.answers_within_n]


@cache
def installed() -> dict[str, EntryPoint]:
    """Return the entry points of other packages by name; our own names stay ours."""
    return {e.name: e for e in entry_points(group=GROUP) if e.name not in BUILT_IN}


def _module_at(name: str, place: str) -> ModuleType:
    if place.endswith(".py"):
        path = _find_file(name, place)
        stat = path.stat()
        with _explained(name):
            return _load_file(path, stat.st_mtime_ns, stat.st_size)
    if not all(part.isidentifier() for part in place.split(".")):
        raise SettingsError(
            f"strategy={name!r}: allowed are <file>.py:<Class> and <module>:<Class>"
        )
    with _explained(name):
        return import_module(place)


def _find_file(name: str, place: str) -> Path:
    """Return the file of this relative or absolute path. Raises SettingsError unless one fits."""
    folders = [Path.cwd(), *_folders]
    try:
        paths = (folder / Path(place).expanduser() for folder in folders)
        found = [path for path in paths if path.is_file()][:1] or sorted(
            {path.resolve() for folder in _folders for path in folder.rglob(glob.escape(place))}
        )
    except (ValueError, OSError, NotImplementedError, RuntimeError):  # what is no path at all
        found = []
    if len(found) == 1:
        return found[0].resolve()
    where = ", ".join(map(str, found or folders))
    raise SettingsError(
        f"strategy={name!r}: {'several files fit' if found else 'no such file in'} {where}"
    )


@lru_cache(maxsize=64)
def _load_file(path: Path, mtime: int, size: int) -> ModuleType:
    """Run a file as a module, once for each of its states."""
    digest = hashlib.blake2b(f"{path} {mtime} {size}".encode(), digest_size=8).hexdigest()
    spec = spec_from_file_location(f"{GROUP}.file_{digest}.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up while it is made
    spec.loader.exec_module(module)
    return module


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn whatever foreign code raises while it is imported into one line."""
    try:
        yield
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise SettingsError(f"strategy={name!r} cannot be imported: {reason}") from error


def _strategies_in(module: ModuleType) -> dict[str, type[Strategy]]:
    """Return the strategies that a module defines, not those that it imports, nor their bases."""
    classes = {name: kind for name, kind in vars(module).items() if isinstance(kind, type)}
    own = {name: kind for name, kind in classes.items() if kind.__module__ == module.__name__}
    strategies = {name: kind for name, kind in own.items() if issubclass(kind, Strategy)}
    return {name: kind for name, kind in strategies.items() if not inspect.isabstract(kind)}


def _checked(name: str, kind: Any) -> type[Strategy]:
    """Return a class from elsewhere. Raises SettingsError for what would fail in mid-run."""
    if not (isinstance(kind, type) and issubclass(kind, Strategy)):
        raise SettingsError(f"strategy={name!r}: allowed is a subclass of lm_eval_tts.Strategy")
    if inspect.isabstract(kind):
        missing = ", ".join(sorted(kind.__abstractmethods__))
        raise SettingsError(f"strategy={name!r} lacks the method {missing}")
    if "__dataclass_params__" not in vars(kind):
        raise SettingsError(
            f"strategy={name!r} is not a dataclass: write @dataclass(frozen=True) above the class"
        )
    with _explained(name):
        get_type_hints(kind)
    return kind
