"""The command itself, `run` and `doctor`; where commands write, and what they say about it."""

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from lm_eval_tts import __version__
from lm_eval_tts.errors import LmEvalTTSError, SettingsError, unknown_name
from lm_eval_tts.harness import autoload, doctor
from lm_eval_tts.harness.names import MODELS, own_tasks
from lm_eval_tts.results.formats import printable

_EXAMPLE = "lm-eval-tts run --model tts-hf --tasks arith_budget --output_path results --log_samples"
app = typer.Typer(
    help="lm_eval with test-time scaling, and tools that read its results.",
    epilog=f"Example: {_EXAMPLE}",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
Results = Annotated[
    list[str],
    typer.Argument(help="results_*.json files, or folders of them", show_default=False),
]
MetricName = Annotated[
    str | None,
    typer.Option(help="what counts as accuracy, as name or name,filter (exact_match)"),
]
BAD_INPUT = 2  # exit code


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code; a user's error is one line."""
    given = list(sys.argv[1:] if argv is None else argv)
    name = " ".join(["lm-eval-tts", *given[:1]])
    if given[:1] == ["run"]:
        given.insert(1, "--")  # lm_eval reads all that follows, --help included
    try:
        return app(given, prog_name="lm-eval-tts", standalone_mode=False) or 0
    except LmEvalTTSError as error:
        complaint = str(error)
    except TyperException as error:
        complaint = f"{error.format_message()} (lm-eval-tts --help shows all)"
    except BrokenPipeError:  # the reader of a pipe has seen enough, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    print(printable(f"{name}: {' '.join(complaint.split())}"), file=sys.stderr)
    return BAD_INPUT


def _say_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_say_version)] = False,
) -> None:
    """Take the options before a subcommand."""


def _complete(context: typer.Context, incomplete: str) -> list[str]:
    """Return what may follow `--model` and `--tasks` of lm_eval, the latter after a comma too."""
    before = (context.params.get("arguments") or ("",))[-1]
    known = {"--model": MODELS, "--tasks": own_tasks()}.get(before, ())
    *given, begun = incomplete.split(",")
    new = sorted(name for name in known if name.startswith(begun) and name not in given)
    return [",".join([*given, name]) for name in new]


def complete_task(incomplete: str) -> list[str]:
    """Return the tasks that begin so; the shell adds files."""
    return sorted(name for name in own_tasks() if name.startswith(incomplete))


@app.command(
    "run", epilog=f"Example: {_EXAMPLE}", context_settings={"ignore_unknown_options": True}
)
def run_lm_eval(
    arguments: Annotated[
        list[str] | None, typer.Argument(help="what lm_eval takes", autocompletion=_complete)
    ] = None,
) -> None:
    """Run lm_eval with this package's models and tasks, even where Python reads no .pth files."""
    autoload.install()
    from lm_eval.__main__ import cli_evaluate

    sys.argv = ["lm_eval", *(arguments or ())]
    cli_evaluate()


app.command("doctor", epilog="Example: lm-eval-tts doctor")(doctor.run_doctor)


def ending_of(path: Path | None, allowed: Sequence[str], default: str) -> str:
    """Return the format that a file's ending asks for. Raises SettingsError for another."""
    if path is None:
        return default
    ending = path.suffix.lower().lstrip(".")
    if ending not in allowed:
        raise unknown_name(f"ending of {path}", ending, allowed)
    return ending


def write(content: str | bytes | Iterable[str], path: Path | None) -> None:
    """Write to a file, its folders made, or to standard output. Raises SettingsError."""
    try:
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
        out = path.open("w", encoding="utf-8", errors="backslashreplace") if path else sys.stdout
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error
    with out if path else nullcontext():  # standard output stays open
        if isinstance(content, bytes):
            out.buffer.write(content)
        else:
            out.writelines([content] if isinstance(content, str) else content)


def report(notes: Sequence[object], written: Path | None, num_bad: int) -> int:
    """Say on standard error what was noted and written; return the exit code."""
    for note in notes:
        print(printable(f"note: {note}"), file=sys.stderr)
    if written:
        print(f"wrote {written}", file=sys.stderr)
    return BAD_INPUT if num_bad else 0
