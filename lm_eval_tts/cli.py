"""`lm-eval-tts`: the package's own command.

Each subcommand is an entry in COMMANDS: what it is for, a function that adds its arguments and one
that runs it and returns an exit code: 0 done, 1 a regression, 2 bad input or undecided."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple, TextIO

from lm_eval_tts import __version__
from lm_eval_tts.core.difficulty import ESTIMATES
from lm_eval_tts.core.metrics import GATED
from lm_eval_tts.errors import DataError, LmEvalTTSError, SettingsError, unknown_name
from lm_eval_tts.grading import dispute
from lm_eval_tts.harness import autoload, doctor
from lm_eval_tts.harness.parser import EXAMPLES, CommandParser
from lm_eval_tts.results.formats import printable
from lm_eval_tts.results.runs import keep_largest, load_runs, require_runs

BAD_INPUT = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code; an error of the user's is one line."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["run"]:
        given.insert(1, "--")  # lm_eval reads all that follows, --help included
    args = make_parser().parse_args(given)
    try:
        return COMMANDS[args.command].run(args)
    except LmEvalTTSError as error:
        print(printable(f"lm-eval-tts {args.command}: {error}"), file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:  # the reader of a pipe has seen enough, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all subcommands."""
    parser = CommandParser(prog="lm-eval-tts", description=__doc__.split("\n")[0], epilog=EXAMPLES)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, command in COMMANDS.items():
        own = commands.add_parser(name, help=command.purpose, description=command.purpose)
        command.add_arguments(own)
    return parser


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add what `run` takes."""
    parser.add_argument("arguments", nargs="*", help="what lm_eval takes")


def run_lm_eval(args: argparse.Namespace) -> int:
    """Run lm_eval's command line, for places where Python does not read .pth files at start-up."""
    autoload.install()
    from lm_eval.__main__ import cli_evaluate

    sys.argv = ["lm_eval", *args.arguments]
    cli_evaluate()
    return 0


def add_results(parser: argparse.ArgumentParser, *, more: bool = True) -> None:
    """Add the results to read and the choice of the metric."""
    if more:
        parser.add_argument("results", nargs="+", help="results_*.json files, or folders of them")
    said = "what counts as accuracy, as name or name,filter (default: exact_match)"
    parser.add_argument("--metric", help=said)


def add_leaderboard(parser: argparse.ArgumentParser) -> None:
    """Add what `leaderboard` takes."""
    add_results(parser)
    parser.add_argument("-o", "--output", type=Path, help="file, .html, .md, .csv or .json")
    parser.add_argument("--title", default="Leaderboard", help="heading of the HTML page")
    parser.add_argument("--no-samples", action="store_true", help="no pages of samples in the HTML")


def run_leaderboard(args: argparse.Namespace) -> int:
    """Write a leaderboard. Returns 2 if some file could not be used; the others are shown."""
    from lm_eval_tts.results import leaderboard, leaderboard_html, leaderboard_text

    form = check_ending(args.output, ("html", "md", "csv", "json"), default="md")
    loaded = load_runs(args.results, args.metric)
    board = leaderboard.build_leaderboard(require_runs(loaded), loaded.unread)
    with opened(args.output) as out:
        if form == "html":
            leaderboard_html.write_html(board, out, args.title, samples=not args.no_samples)
        else:
            out.write(leaderboard_text.BOARDS[form](board))
    return report(board.notes, args.output, num_bad=len(loaded.unread))


def add_curve(parser: argparse.ArgumentParser) -> None:
    """Add what `curve` takes."""
    add_results(parser)
    endings = "file, .html, .svg, .png (a plot), .md, .csv or .json"
    parser.add_argument("-o", "--output", type=Path, help=endings)
    joined = "one curve of all runs of a benchmark, whatever ran"
    parser.add_argument("--join", action="store_true", help=joined)


def run_curve(args: argparse.Namespace) -> int:
    """Write scaling curves. Returns 2 if some file could not be used; the others are shown."""
    from lm_eval_tts.results import curve, curve_report

    form = check_ending(args.output, ("html", "svg", "png", "md", "csv", "json"), default="md")
    loaded = load_runs(args.results, args.metric)
    curves, notes = curve.build_curves(require_runs(loaded), join=args.join)
    if not curves:
        raise DataError(f"no run has token counts: {'; '.join(notes)}")
    content = curve_report.render_curves(curves, form)
    with opened(args.output) as out:
        if isinstance(content, str):
            out.write(content)
        else:
            out.buffer.write(content)
    return report([*loaded.unread, *notes], args.output, num_bad=len(loaded.unread))


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Add what `compare` takes."""
    for side in ("a", "b"):
        parser.add_argument(side, metavar=side.upper(), help="a results file, or a folder of them")
    add_results(parser, more=False)
    parser.add_argument("-o", "--output", type=Path, help="file, .md or .json")


def run_compare(args: argparse.Namespace) -> int:
    """Compare two sides. Returns 2 if some file could not be used."""
    from lm_eval_tts.results import compare

    form = check_ending(args.output, ("md", "json"), default="md")
    sides = [load_runs([path], args.metric) for path in (args.a, args.b)]
    kept = [keep_largest(require_runs(side)) for side in sides]
    pairs = compare.match_runs(*(runs for runs, _ in kept))
    comparisons = [compare.compare(a, b) for a, b in pairs]
    with opened(args.output) as out:
        if form == "json":
            out.write(compare.comparisons_json(comparisons))
        else:
            out.write("\n".join(map(compare.comparison_markdown, comparisons)))
    unread = [file for side in sides for file in side.unread]
    notes = [note for _, notes in kept for note in notes]
    return report([*unread, *notes], args.output, num_bad=len(unread))


def add_fit(parser: argparse.ArgumentParser) -> None:
    """Add what `fit` takes."""
    parser.add_argument("results", nargs="+", help="results_*.json files, or folders of them")
    samples = "results file of independent samples that tell the difficulty (a *_maj run, say)"
    parser.add_argument("--baseline", required=True, help=samples)
    estimates = (
        "agreement of the baseline's answers, their mean reward, both (the mean of the two), or "
        "the oracle: its pass@1, which takes the reference"
    )
    parser.add_argument(
        "--difficulty-by", choices=sorted(ESTIMATES), default="agreement", help=estimates
    )
    parser.add_argument("--folds", type=int, default=5, help="of the cross-validation, >= 2")
    parser.add_argument("-o", "--output", type=Path, help="YAML file to write for table=")


def run_fit(args: argparse.Namespace) -> int:
    """Fit a table, print what it is worth, and write it."""
    from lm_eval_tts.results import fit

    baseline = require_runs(load_runs([args.baseline]))[-1]
    bins = fit.read_bins(baseline, args.difficulty_by)
    runs = fit.read_strategy_runs(require_runs(load_runs(args.results)), baseline.benchmark)
    problems = fit.common_problems(runs, bins)
    if not 2 <= args.folds <= len(problems):
        raise SettingsError(f"--folds {args.folds}: allowed is 2 to {len(problems)}, the problems")
    lines = fit.fit_report(runs, bins, problems, args.folds)
    print("\n".join(lines))
    if args.output:
        with opened(args.output) as out:
            out.write("".join(f"# {line}\n" for line in lines))
            out.write(fit.table_yaml(fit.table_rules(runs, bins, problems)))
        print(f"written: {args.output}, for strategy=compute_optimal,table={args.output}")
    return 0


def add_gate(parser: argparse.ArgumentParser) -> None:
    """Add what `gate` takes."""
    margins = " ".join(f"{name}={metric.margin:g}" for name, metric in GATED.items())
    add_results(parser)
    parser.add_argument("--baseline", type=Path, required=True, help="JSON file to compare with")
    parser.add_argument("--update", action="store_true", help="write the baseline instead")
    said = f"largest accepted loss, or NAME=off (default: {margins}); may be repeated"
    parser.add_argument("--margin", action="append", default=[], metavar="NAME=SHARE", help=said)
    parser.add_argument("--junit", type=Path, help="file for the checks as JUnit XML")


def run_gate(args: argparse.Namespace) -> int:
    """Check a run against a baseline. Returns 0 passed, 1 regressed, 2 undecided or bad input."""
    from lm_eval_tts.results import baseline, gate, gate_report

    rules = gate.read_margins(args.margin)
    loaded = load_runs(args.results, args.metric)
    now, unread = gate.record_runs(require_runs(loaded))
    report([*loaded.unread, *unread], None, 0)
    if args.update:
        baseline.write_baseline(args.baseline, list(now.values()))
        return report([], args.baseline, num_bad=len(loaded.unread) + len(unread))
    verdict = gate.judge(baseline.read_baseline(args.baseline), now, rules)
    print(gate_report.verdict_text(verdict), end="")
    if args.junit:
        with opened(args.junit) as out:
            out.write(gate_report.verdict_junit(verdict))
    gate_report.append_summary(verdict)
    return gate.EXIT_CODES[verdict.status]


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


class Command(NamedTuple):
    """A subcommand."""

    purpose: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


COMMANDS = {
    "run": Command("lm_eval with this package's models and tasks", add_run, run_lm_eval),
    "leaderboard": Command(
        "finished runs as one table, or one HTML page", add_leaderboard, run_leaderboard
    ),
    "curve": Command("accuracy against tokens, and how it scales", add_curve, run_curve),
    "compare": Command("two runs, paired by document", add_compare, run_compare),
    "fit": Command("a compute-optimal table from finished runs", add_fit, run_fit),
    "gate": Command("a run against a baseline, for CI", add_gate, run_gate),
    "grade": Command(
        "where two graders differ on the same responses",
        dispute.add_dispute_arguments,
        dispute.run_dispute,
    ),
    "doctor": Command(
        "checks of this installation", doctor.add_doctor_arguments, doctor.run_doctor
    ),
}
