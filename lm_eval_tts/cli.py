"""`lm-eval-tts`: the package's own command.

`run` is lm_eval itself, with our models and tasks put in explicitly: for places where Python does
not read .pth files at start-up, so that a plain `lm_eval` does not find them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from lm_eval_tts import __version__, autoload
from lm_eval_tts.errors import LmEvalTTSError
from lm_eval_tts.results import fit


def main(argv: Sequence[str] | None = None) -> None:
    """Run a subcommand."""
    parser = argparse.ArgumentParser(prog="lm-eval-tts", description=__doc__.split("\n")[0])
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="lm_eval with this package's models and tasks")
    run.add_argument("arguments", nargs=argparse.REMAINDER, help="what lm_eval takes")
    fit.add_arguments(commands.add_parser("fit", help="a compute-optimal table from runs"))
    args = parser.parse_args(argv)
    if args.command == "fit":
        try:
            sys.exit(fit.run(args))
        except LmEvalTTSError as error:
            sys.exit(f"lm-eval-tts fit: {error}")
    run_lm_eval(args.arguments)


def run_lm_eval(arguments: Sequence[str]) -> None:
    """Run lm_eval's command line on these arguments."""
    autoload.install()
    from lm_eval.__main__ import cli_evaluate

    sys.argv = ["lm_eval", *arguments]
    cli_evaluate()
