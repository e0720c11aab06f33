"""The complaints of lm_eval's command line: one line, with what may be meant."""

import argparse
import difflib
import re
from collections.abc import Iterable
from typing import NoReturn


def in_one_line(parser: argparse.ArgumentParser, options: Iterable[str]) -> None:
    """Have a parser complain without its usage; the exit code stays 2.
    options: those that may be meant by unknown ones."""

    def error(message: str) -> NoReturn:
        unknown = re.findall(r"(?<!\S)--[\w-]+", message.partition("unrecognized arguments: ")[2])
        near = [n for w in unknown for n in difflib.get_close_matches(w, options, n=1)]
        hint = f": did you mean {near[0]}?" if near else ""
        what = re.sub(r"invalid functools\.partial\(.*\) value", "invalid value", message)
        parser.exit(2, f"lm_eval_tts: {what}{hint} (lm_eval run --help shows all)\n")

    parser.error = error  # type: ignore[method-assign]
