"""`lm-eval-tts`: the package's own command.

Each subcommand is a function; what it returns is the exit code: 0 done, 1 a regression, 2 bad input
or undecided."""

import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, TextIO

import typer
from typer.exceptions import TyperException

from lm_eval_tts import __version__
from lm_eval_tts.core.difficulty import ESTIMATES
from lm_eval_tts.core.metrics import GATED
from lm_eval_tts.errors import DataError, LmEvalTTSError, SettingsError, unknown_name
from lm_eval_tts.grading import dispute
from lm_eval_tts.harness import autoload, doctor
from lm_eval_tts.harness.checks import own_tasks
from lm_eval_tts.harness.names import MODELS
from lm_eval_tts.results.formats import printable
from lm_eval_tts.results.runs import keep_largest, load_runs, require_runs

BAD_INPUT = 2
_EXAMPLE = "lm-eval-tts run --model tts-hf --tasks arith_budget --output_path results --log_samples"
app = typer.Typer(
    help="lm_eval with test-time scaling, and what reads its results.",
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
_OUTPUT = ("-o", "--output")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code; an error of the user's is one line."""
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
    """Take what stands before a subcommand."""


def _complete(context: typer.Context, incomplete: str) -> list[str]:
    """Return what may stand after `--model` and `--tasks` of lm_eval."""
    before = (context.params.get("arguments") or ("",))[-1]
    known = {"--model": MODELS, "--tasks": own_tasks()}.get(before, ())
    return [name for name in sorted(known) if name.startswith(incomplete)]


@app.command(
    "run", epilog=f"Example: {_EXAMPLE}", context_settings={"ignore_unknown_options": True}
)
def run_lm_eval(
    arguments: Annotated[
        list[str] | None, typer.Argument(help="what lm_eval takes", autocompletion=_complete)
    ] = None,
) -> None:
    """Run lm_eval with this package's models and tasks, where Python reads no .pth files too."""
    autoload.install()
    from lm_eval.__main__ import cli_evaluate

    sys.argv = ["lm_eval", *(arguments or ())]
    cli_evaluate()


@app.command("leaderboard", epilog="Example: lm-eval-tts leaderboard results -o board.html")
def run_leaderboard(
    results: Results,
    metric: MetricName = None,
    output: Annotated[Path | None, typer.Option(*_OUTPUT, help=".html, .md, .csv or .json")] = None,
    title: Annotated[str, typer.Option(help="heading of the HTML page")] = "Leaderboard",
    no_samples: Annotated[
        bool, typer.Option("--no-samples", help="no samples to read in the HTML")
    ] = False,
) -> int:
    """Show finished runs as one table, or one HTML page."""
    from lm_eval_tts.results import leaderboard, leaderboard_html, leaderboard_text

    form = check_ending(output, ("html", "md", "csv", "json"), default="md")
    loaded = load_runs(results, metric)
    board = leaderboard.build_leaderboard(require_runs(loaded), loaded.unread)
    with opened(output) as out:
        if form == "html":
            leaderboard_html.write_html(board, out, title, samples=not no_samples)
        else:
            out.write(leaderboard_text.BOARDS[form](board))
    return report(board.notes, output, num_bad=len(loaded.unread))


@app.command("curve", epilog="Example: lm-eval-tts curve results -o curve.png")
def run_curve(
    results: Results,
    metric: MetricName = None,
    output: Annotated[
        Path | None,
        typer.Option(*_OUTPUT, help=".html, .svg, .png (a plot), .md, .csv or .json"),
    ] = None,
    join: Annotated[
        bool, typer.Option("--join", help="one curve of all runs of a benchmark, whatever ran")
    ] = False,
) -> int:
    """Show accuracy against tokens, and how it scales."""
    from lm_eval_tts.results import curve, curve_report

    form = check_ending(output, ("html", "svg", "png", "md", "csv", "json"), default="md")
    loaded = load_runs(results, metric)
    curves, notes = curve.build_curves(require_runs(loaded), join=join)
    if not curves:
        raise DataError(f"no run has token counts: {'; '.join(notes)}")
    content = curve_report.render_curves(curves, form)
    with opened(output) as out:
        if isinstance(content, str):
            out.write(content)
        else:
            out.buffer.write(content)
    return report([*loaded.unread, *notes], output, num_bad=len(loaded.unread))


@app.command("compare", epilog="Example: lm-eval-tts compare results/sft results/grpo")
def run_compare(
    a: Annotated[str, typer.Argument(metavar="A", help="a results file, or a folder of them")],
    b: Annotated[str, typer.Argument(metavar="B", help="the other one")],
    metric: MetricName = None,
    output: Annotated[Path | None, typer.Option(*_OUTPUT, help=".md or .json")] = None,
) -> int:
    """Compare two runs, paired by document."""
    from lm_eval_tts.results import compare

    form = check_ending(output, ("md", "json"), default="md")
    sides = [load_runs([path], metric) for path in (a, b)]
    kept = [keep_largest(require_runs(side)) for side in sides]
    pairs = compare.match_runs(*(runs for runs, _ in kept))
    comparisons = [compare.compare(a, b) for a, b in pairs]
    with opened(output) as out:
        if form == "json":
            out.write(compare.comparisons_json(comparisons))
        else:
            out.write("\n".join(map(compare.comparison_markdown, comparisons)))
    unread = [file for side in sides for file in side.unread]
    notes = [note for _, notes in kept for note in notes]
    return report([*unread, *notes], output, num_bad=len(unread))


@app.command(
    "fit", epilog="Example: lm-eval-tts fit results --baseline results_maj.json -o table.yaml"
)
def run_fit(
    results: Results,
    baseline: Annotated[
        str, typer.Option(help="results of independent samples that tell the difficulty (*_maj)")
    ],
    difficulty_by: Annotated[
        str,
        typer.Option(
            help="agreement of the baseline's answers, their mean reward, both (the mean of the "
            "two), or the oracle: its pass@1, which takes the reference"
        ),
    ] = "agreement",
    folds: Annotated[int, typer.Option(help="of the cross-validation, >= 2")] = 5,
    output: Annotated[Path | None, typer.Option(*_OUTPUT, help="YAML file, for table=")] = None,
) -> int:
    """Make a compute-optimal table from finished runs, and say what it is worth."""
    from lm_eval_tts.results import fit

    if difficulty_by not in ESTIMATES:
        raise unknown_name("--difficulty-by", difficulty_by, ESTIMATES)
    samples = require_runs(load_runs([baseline]))[-1]
    bins = fit.read_bins(samples, difficulty_by)
    runs = fit.read_strategy_runs(require_runs(load_runs(results)), samples.benchmark)
    problems = fit.common_problems(runs, bins)
    if not 2 <= folds <= len(problems):
        raise SettingsError(f"--folds {folds}: allowed is 2 to {len(problems)}, the problems")
    lines = fit.fit_report(runs, bins, problems, folds)
    print("\n".join(lines))
    if output:
        with opened(output) as out:
            out.write("".join(f"# {line}\n" for line in lines))
            out.write(fit.table_yaml(fit.table_rules(runs, bins, problems)))
        print(f"written: {output}, for strategy=compute_optimal,table={output}")
    return 0


_MARGINS = " ".join(f"{name}={metric.margin:g}" for name, metric in GATED.items())


@app.command("gate", epilog="Example: lm-eval-tts gate results --baseline baseline.json")
def run_gate(
    results: Results,
    baseline: Annotated[Path, typer.Option(help="JSON file to compare with")],
    metric: MetricName = None,
    update: Annotated[bool, typer.Option("--update", help="write the baseline instead")] = False,
    margin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SHARE",
            help=f"largest accepted loss, or NAME=off ({_MARGINS}); may be repeated",
        ),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="file for the checks as JUnit XML")] = None,
) -> int:
    """Check a run against a baseline, for CI: 0 passed, 1 regressed, 2 undecided or bad input."""
    from lm_eval_tts.results import baseline as baselines
    from lm_eval_tts.results import gate, gate_report

    rules = gate.read_margins(margin or ())
    loaded = load_runs(results, metric)
    now, unread = gate.record_runs(require_runs(loaded))
    report([*loaded.unread, *unread], None, 0)
    if update:
        baselines.write_baseline(baseline, list(now.values()))
        return report([], baseline, num_bad=len(loaded.unread) + len(unread))
    verdict = gate.judge(baselines.read_baseline(baseline), now, rules)
    print(gate_report.verdict_text(verdict), end="")
    if junit:
        with opened(junit) as out:
            out.write(gate_report.verdict_junit(verdict))
    gate_report.append_summary(verdict)
    return gate.EXIT_CODES[verdict.status]


@app.command("grade", epilog="Example: lm-eval-tts grade results/*/samples_math500_cot_*.jsonl")
def run_grade(
    file: Annotated[Path, typer.Argument(help="samples of lm_eval, or JSON lines of responses")],
    against: Annotated[str, typer.Option(help="the other grader")] = "math-verify",
    output: Annotated[Path | None, typer.Option(*_OUTPUT, help="file, Markdown")] = None,
) -> int:
    """Show where two graders differ on the same responses."""
    text = dispute.dispute_report(dispute.read_items(file), against)
    with opened(output) as out:
        out.write(text)
    return 0


app.command("doctor", epilog="Example: lm-eval-tts doctor")(doctor.run_doctor)


def check_ending(path: Path | None, allowed: Sequence[str], default: str) -> str:
    """Return the format that a file's ending asks for. Raises SettingsError for another."""
    if path is None:
        return default
    ending = path.suffix.lower().lstrip(".")
    if ending not in allowed:
        raise unknown_name(f"ending of {path}", ending, allowed)
    return ending


def opened(path: Path | None) -> AbstractContextManager[TextIO]:
    """Return a file to write to, or standard output, which stays open."""
    if path is None:
        return nullcontext(sys.stdout)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error


def report(notes: Sequence[object], written: Path | None, num_bad: int) -> int:
    """Say on standard error what was noted and written; return the exit code."""
    for note in notes:
        print(printable(f"note: {note}"), file=sys.stderr)
    if written:
        print(f"wrote {written}", file=sys.stderr)
    return BAD_INPUT if num_bad else 0
