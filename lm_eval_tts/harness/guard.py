"""Around a run of lm_eval's command: one line for a user's error, a telling exit code.

    0    all well                        2    a wrong setting, data that cannot be read
    1    too many requests failed, or    130  stopped by Ctrl-C; by SIGTERM 143, SIGHUP 129,
         the results were not written         SIGUSR1 138

`autoload` puts it around `lm_eval run`. It acts on models of this package only; who calls lm_eval
from Python gets the exceptions themselves. LMEVAL_LOG_LEVEL=DEBUG shows tracebacks.

lm_eval's own complaints about tasks, samples and models are distinguished from bugs by the modules
they come from: those that read the configuration and the tasks."""

import difflib
import functools
import glob
import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from lm_eval_tts.core.disk import check_writable
from lm_eval_tts.core.identity import ADDING, digest
from lm_eval_tts.errors import LmEvalTTSError, SettingsError, unknown_name
from lm_eval_tts.harness import preflight
from lm_eval_tts.harness.names import MODELS, own_tasks
from lm_eval_tts.harness.run_state import RunState, output_path, stock_tasks, watched
from lm_eval_tts.harness.signals import Stopped, heeding_ranks, stoppable, tell_ranks, told_by_ranks
from lm_eval_tts.harness.summary import filtering, quiet
from lm_eval_tts.results.formats import strict_json
from lm_eval_tts.strategies.registry import search_also

FAILED, WRONG_SETTING, INTERRUPTED = 1, 2, 130
WRITER = "lm_eval.loggers.evaluation_tracker"
FACTS = "lm_eval.loggers.utils"  # asks git for the version of whatever is in the current folder
_SILENT = SimpleNamespace(
    check_output=functools.partial(subprocess.check_output, stderr=subprocess.DEVNULL),
    CalledProcessError=subprocess.CalledProcessError,
)
READS_SETTINGS = ("lm_eval.config", "lm_eval.tasks")  # whatever is raised within
# What these check by themselves, not what is raised in what they call.
CHECKS_SETTINGS = ("lm_eval.evaluator", "lm_eval.api.registry", "lm_eval.api.task")


def guarded(execute: Callable[[Any], None], args: Any) -> None:
    """Run an evaluation from lm_eval's parsed arguments."""
    if isinstance(getattr(args, "tasks", None), str):
        args.tasks = ",".join(map(str.strip, args.tasks.split(",")))
    output_path.set(getattr(args, "output_path", None))
    stock_tasks.set(not own_tasks().issuperset(_tasks(args) or [""]))
    unsaved: list[str] = []  # what lm_eval could not write, of which it only warns

    def note(record: logging.LogRecord) -> bool:
        if record.getMessage().startswith("Could not save"):
            unsaved.append(record.getMessage())
        return True

    with filtering([WRITER], note), watched(_journals(args)) as states:
        _run(execute, args, states)
    if states and unsaved:
        rest = "with journal=<folder> in --model_args nothing would be computed again"
        if journal := states[-1].journal:
            again = "make room and give the same command again"
            rest = f"{again}: it takes everything from {journal=!s}"
        _leave(FAILED, f"{'; '.join(dict.fromkeys(unsaved))}: {rest}")
    if complaint := next(filter(None, (state.complaint() for state in states)), None):
        _leave(FAILED, complaint)
    for state in states:
        if lost := state.kept is not None and state.kept.lost:
            if not output_path.get():
                _leave(FAILED, f"{lost}, and there is no --output_path: name one")
            _say(f"{lost}; the results are written all the same")
        state.forget_journal()


def _journals(args: Any) -> str | None:
    """Return where unnamed journals go: paths that begin with what the command asks for. So
    commands with other tasks or settings share none; those with more samples or points do."""
    path = getattr(args, "output_path", None)
    if not path or not _is_ours(args):
        return None
    folder = Path(path).parent if Path(path).suffix == ".json" else Path(path)
    given = getattr(args, "gen_kwargs", None) or {}
    asked = {name: repr(value) for name, value in given.items() if name not in ADDING}
    tasks = getattr(args, "tasks", None)
    shots = [getattr(args, name, None) for name in ("num_fewshot", "apply_chat_template")]
    return str(folder / "journals" / digest(repr(tasks), repr(shots), repr(sorted(asked.items()))))


def _run(execute: Callable[[Any], None], args: Any, states: Sequence[RunState]) -> None:
    """Run, and end the process in one line for what is not a bug of ours.
    states: those of the models that the run has made so far."""
    journals = _journals(args) if os.environ.get("WORLD_SIZE", "1") != "1" else None
    told = Path(f"{journals}.stopped") if journals else None  # that a rank was stopped
    try:
        _check(args)
        with _around_ours(states, told) if _is_ours(args) else nullcontext():
            execute(args)
    except LmEvalTTSError as error:
        _leave(WRONG_SETTING, str(error))
    except KeyboardInterrupt as interrupt:
        if not states and not isinstance(interrupt, Stopped):
            raise
        sent = int(interrupt.args[0] if isinstance(interrupt, Stopped) else signal.SIGINT)
        tell_ranks(told, sent)
        _leave(128 + sent, _how_to_resume(states))  # as shells say it
    except Exception as error:
        if (number := told_by_ranks(told)) is not None:  # the rank that it waited for was stopped
            _leave(128 + number, _how_to_resume(states))
        if not (_is_ours(args) and _is_the_users(error)):
            raise
        what = "" if type(error) in (ValueError, AssertionError) else f"{type(error).__name__}: "
        said = f"{what}{error}{_nearest_tasks(str(error))}"
        _leave(WRONG_SETTING, f"{said} (LMEVAL_LOG_LEVEL=DEBUG shows where)")


@contextmanager
def _around_ours(states: Sequence[RunState], told: Path | None) -> Iterator[None]:
    """Make signals end a run in order, and lm_eval leave out what nobody can use and write JSON."""
    with preflight.without_collections():
        writer, facts = importlib.import_module(WRITER), importlib.import_module(FACTS)

    def last_words(number: int) -> None:
        tell_ranks(told, number)
        _say(_how_to_resume(states))

    try:
        writer.json = SimpleNamespace(dumps=strict_json)  # type: ignore[attr-defined]
        facts.subprocess = _SILENT  # type: ignore[attr-defined]
        with warnings.catch_warnings(), quiet(), stoppable(last_words), heeding_ranks(told):
            warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
            yield
    finally:
        writer.json = json  # type: ignore[attr-defined]
        facts.subprocess = subprocess  # type: ignore[attr-defined]


def _how_to_resume(states: Sequence[RunState]) -> str:
    return states[-1].how_to_resume() if states else "interrupted before a model was loaded"


def _check(args: Any) -> None:
    """Raise SettingsError for what lm_eval would log or find out too late."""
    model = str(getattr(args, "model", None))
    registry = importlib.import_module("lm_eval.api.registry").model_registry
    if "tts" in model.lower() and model not in MODELS and model not in registry:  # as tts_hf
        near = difflib.get_close_matches(model.lower().replace("_", "-"), MODELS, n=1, cutoff=0.5)
        raise unknown_name("model", model, MODELS, next(iter(near), None))
    if not _is_ours(args):
        given = [getattr(args, name, None) for name in ("model", "model_args", "config")]
        if given in ([None, None, None], ["hf", None, None]) and not stock_tasks.get():
            raise SettingsError(
                "--model hf needs --model_args pretrained=..., --model tts-hf nothing"
            )
        return
    preflight.check_packages(args.model)
    _check_documents(*(getattr(args, name, None) for name in ("limit", "samples", "num_fewshot")))
    folder = getattr(args, "include_path", None)
    if isinstance(folder, str) and not Path(folder).is_dir():
        raise SettingsError(f"--include_path {folder} is not a folder: name one with task YAMLs")
    search_also(path for name in _tasks(args) for path in glob.glob(name))
    for name in ("model_args", "gen_kwargs", "metadata"):
        preflight.refuse_secrets(getattr(args, name, None), name)
    model_args = getattr(args, "model_args", None) or {}
    preflight.check_settings(args.model, model_args, getattr(args, "gen_kwargs", None) or {})
    if path := getattr(args, "output_path", None):
        is_file = Path(path).suffix == ".json"  # as lm_eval reads it
        check_writable("output_path", Path(path).parent if is_file else path)


def _tasks(args: Any) -> list[str]:
    tasks = getattr(args, "tasks", None) or []
    return tasks.split(",") if isinstance(tasks, str) else list(tasks)


def _is_ours(args: Any) -> bool:
    return str(getattr(args, "model", None)).startswith("tts-")


def _check_documents(limit: float | None, samples: Any, num_fewshot: int | None) -> None:
    if limit is not None and not limit > 0:
        raise SettingsError(
            f"--limit {limit:g}: allowed is a number of documents, or a share below 1 of them"
        )
    if num_fewshot is not None and num_fewshot < 0:
        raise SettingsError(f"--num_fewshot {num_fewshot}: allowed is 0 or a number of examples")
    reason = ""
    if isinstance(samples, str):  # a file: lm_eval has parsed what is JSON
        try:
            samples = json.loads(Path(samples).read_text())
        except (OSError, ValueError) as error:
            reason = f" ({error})"
    is_read = isinstance(samples, dict) and all(
        isinstance(numbers, list) and numbers and all(type(n) is int and n >= 0 for n in numbers)
        for numbers in samples.values()
    )
    if samples is not None and not is_read:
        raise SettingsError(
            f"--samples {samples} cannot be read{reason}: allowed is a JSON object of document "
            'numbers by task, {"arith_cot": [0, 5]}, or a file with one'
        )


def _is_the_users(error: Exception) -> bool:
    """Whether lm_eval says by this error what is wrong with a setting or a task."""
    frames = traceback.walk_tb(error.__traceback__)
    modules = [str(frame.f_globals.get("__name__")) for frame, _ in frames]
    checked = modules[-1] in CHECKS_SETTINGS and isinstance(error, ValueError | AssertionError)
    return checked or any(module.startswith(READS_SETTINGS) for module in modules)


def _nearest_tasks(message: str) -> str:
    if not (missing := message.partition("Tasks not found: ")[2]):
        return ""
    known = importlib.import_module("lm_eval.tasks").TaskManager().all_tasks
    found = [n for task in missing.split(", ") for n in difflib.get_close_matches(task, known)]
    return f": did you mean {' or '.join(found)}?" if found else ""


def _leave(code: int, message: str) -> NoReturn:
    """End the process with one line, named after its rank where there are several."""
    if os.environ.get("LMEVAL_LOG_LEVEL", "").upper() == "DEBUG":
        traceback.print_exc()
    _say(message)
    sys.exit(code)


def _say(message: str) -> None:
    rank = os.environ.get("RANK", "0")
    where = f" (rank {rank})" if rank != "0" else ""
    sys.stdout.flush()
    sys.stderr.write(f"lm_eval_tts{where}: {' '.join(message.split())}\n")
    sys.stderr.flush()
