"""Around a run of lm_eval's command: one line for a user's error, an exit code that tells.

    0    all well                        2    a wrong setting, data that cannot be read
    1    too many requests failed, or    130  stopped by Ctrl-C
         the results were not written

`autoload` puts it around `lm_eval run`. It acts on models of this package only; who calls lm_eval
from Python has the exceptions themselves. LMEVAL_LOG_LEVEL=DEBUG shows tracebacks.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from lm_eval_tts.credentials import refuse_credentials
from lm_eval_tts.disk import check_writable
from lm_eval_tts.errors import LmEvalTTSError
from lm_eval_tts.outcome import outcome

FAILED, WRONG_SETTING, INTERRUPTED = 1, 2, 130
WRITER = "lm_eval.loggers.evaluation_tracker"


def guarded(execute: Callable[[Any], None]) -> Callable[[Any], None]:
    """Wrap what runs an evaluation from lm_eval's parsed arguments."""

    @functools.wraps(execute)
    def run(args: Any) -> None:
        unsaved = _Unsaved()
        logging.getLogger(WRITER).addHandler(unsaved)
        try:
            _check(args)
            execute(args)
        except LmEvalTTSError as error:
            _leave(WRONG_SETTING, str(error))
        except KeyboardInterrupt:
            if not outcome.active:
                raise
            _leave(INTERRUPTED, outcome.how_to_resume())
        finally:
            logging.getLogger(WRITER).removeHandler(unsaved)
        if outcome.active and unsaved.messages:
            _leave(FAILED, _not_written(unsaved.messages))
        if complaint := outcome.complaint():
            _leave(FAILED, complaint)

    return run


def _check(args: Any) -> None:
    """Raise SettingsError for what lm_eval would log or find out too late."""
    if not str(getattr(args, "model", None)).startswith("tts-"):
        return
    refuse_credentials(getattr(args, "model_args", None) or ())
    if path := getattr(args, "output_path", None):
        is_file = Path(path).suffix == ".json"  # as lm_eval reads it
        check_writable("output_path", Path(path).parent if is_file else path)


def _not_written(messages: list[str]) -> str:
    rest = (
        f"make room and give the same command again: it takes everything from {outcome.journal}"
        if outcome.journal
        else "with journal=<folder> in --model_args nothing would be computed again"
    )
    return f"{'; '.join(dict.fromkeys(messages))}: {rest}"


def _leave(code: int, message: str) -> NoReturn:
    """End the process with one line, named after its rank where there are several."""
    if os.environ.get("LMEVAL_LOG_LEVEL", "").upper() == "DEBUG":
        traceback.print_exc()
    rank = os.environ.get("RANK", "0")
    where = f" (rank {rank})" if rank != "0" else ""
    sys.stdout.flush()
    sys.stderr.write(f"lm_eval_tts{where}: {' '.join(message.split())}\n")
    sys.exit(code)


class _Unsaved(logging.Handler):
    """Notes that lm_eval could not write its files, which it only warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the messages that mean a loss."""
        if record.getMessage().startswith("Could not save"):
            self.messages.append(record.getMessage())
