"""`lm-eval-tts`: the package's own command.

Each subcommand is a function; what it returns is the exit code: 0 done, 1 a regression, 2 bad input
or undecided."""

from lm_eval_tts.cli import commands
from lm_eval_tts.cli.app import app, main

__all__ = ["app", "commands", "main"]
