"""Kills real lm_eval runs at random points, lets the same command go on, and says what it cost.

    python scripts/bench_resume.py <checkpoint> --reward-model <another> --kills 50 --json FILE

For greedy and sampled decoding and votes and, with a reward model, for best-of-N, weighted votes
and every search, on one rank and on two: a run is left alone once; then, again and again, a run is
killed (SIGKILL, all ranks) a few times and finished, with the journal that it keeps beside its
results. Its samples files must equal, byte for byte, those of the run that was left alone.
Repeated work is what all its processes sampled beyond that, in tokens, for each kill, and the
scores that were asked for again. It is at most what was under way: requests that are not finished
are not in the journal (3 sequences of at most 30 tokens here, on each rank, and the scores of one
call).

Processes are forked from one that has imported lm_eval, so a run takes seconds; needs fork (Linux).
"""

import argparse
import functools
import json
import mmap
import os
import random
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"  # a process that forks must not have threads
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"

COUNTERS = mmap.mmap(-1, 32)  # tokens and scores, by rank; shared with the forked processes
SETTINGS = (
    "max_thinking_tokens=[16,48],num_waits=1,max_answer_tokens=12,do_sample={},temperature={}"
)
PLAIN = "gpqa_main_budget,gpqa_main_r1"  # choices: their grading needs no other process
VOTES = "n=4,max_gen_toks=30,do_sample=True,temperature=1.0"
SEARCH = (
    "n=4,beam_width=2,num_iterations=3,step_delimiter=e,max_gen_toks=30,do_sample=True,"
    "temperature=1.0"
)
KILLS_A_RUN = 4
SECONDS = 900  # none takes so long, even on a busy machine
NUM_SEQS, MAX_TOKENS = 3, 30  # under way at once, and in one request


class Mode(NamedTuple):
    """What a run does. scores: it asks a reward model."""

    tasks: str
    settings: str
    scores: bool = False


MODES = {
    "greedy": Mode(PLAIN, SETTINGS.format(False, 0.0)),
    "sampled": Mode(PLAIN, SETTINGS.format(True, 1.0)),
    "votes": Mode("gpqa_main_maj", VOTES),
    "weighted": Mode("gpqa_main_bon", f"{SEARCH},weighted=True", scores=True),
    **{
        name: Mode("gpqa_main_bon", f"{SEARCH},strategy={name}", scores=True)
        for name in ("best_of_n", "beam", "dvts", "rebase", "particle", "compute_optimal")
    },
}


def count(what: int, number: int) -> None:
    """Add to the tokens (0) or the scores (1) of this process's rank."""
    place = 16 * what + 8 * int(os.environ.get("RANK", "0"))
    (before,) = struct.unpack_from("q", COUNTERS, place)
    struct.pack_into("q", COUNTERS, place, before + number)


def count_work() -> None:
    """Have forked processes count the tokens they sample and the scores they ask for."""
    from lm_eval_tts.engines.requests import RowEngine
    from lm_eval_tts.reward_models.hf import HFRewardModel

    sample, rate = RowEngine.sampled, HFRewardModel.score

    def sampled(self: RowEngine, *args: object) -> None:
        count(0, 1)
        sample(self, *args)

    def score(self: HFRewardModel, items: Sequence[Any]) -> Any:
        count(1, len(items))
        return rate(self, items)

    RowEngine.sampled, HFRewardModel.score = sampled, score


def index_tasks_once() -> None:
    """Build lm_eval's index of tasks, which takes seconds, for all forked processes."""
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._index import TaskIndex

    build = functools.cache(TaskIndex.build)
    TaskIndex.build = staticmethod(lambda paths: build(tuple(paths)))
    TaskManager()


def num_sampled() -> int:
    """Return what was sampled since the start of this process."""
    return sum(struct.unpack_from("2q", COUNTERS, 0))


def num_scored() -> int:
    """Return how many scores were asked for since the start of this process."""
    return sum(struct.unpack_from("2q", COUNTERS, 16))


def fork_lm_eval(arguments: list[str], env: dict[str, str], log: Path) -> int:
    """Run `lm_eval` in a forked process and return its id."""
    if pid := os.fork():
        return pid
    try:
        os.environ.update(env)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.argv = ["lm_eval", *arguments]
        from lm_eval.__main__ import cli_evaluate

        cli_evaluate()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    os._exit(code)


def rank_environments(num_ranks: int) -> list[dict[str, str]]:
    """Return what `accelerate launch --cpu` gives each process."""
    if num_ranks == 1:
        return [{}]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": str(num_ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    shared |= {"ACCELERATE_USE_CPU": "true", "LOCAL_WORLD_SIZE": str(num_ranks)}
    return [{**shared, "RANK": str(r), "LOCAL_RANK": str(r)} for r in range(num_ranks)]


@dataclass(frozen=True)
class Command:
    """One command, to be given again and again."""

    checkpoint: str
    reward_model: str | None
    mode: Mode
    num_ranks: int
    folder: Path

    def run(self, name: str, stop: Callable[[], bool]) -> bool:
        """Run until it ends (True), or kill it once `stop()` says so (False)."""
        model_args = f"pretrained={self.checkpoint},device=cpu,dtype=float32"
        if self.mode.scores:
            model_args += f",reward_model={self.reward_model},reward_model_device=cpu"
        arguments = ["--model", "tts-hf", "--tasks", self.mode.tasks, "--log_samples"]
        arguments += ["--batch_size", str(NUM_SEQS)]
        arguments += ["--gen_kwargs", self.mode.settings, "--output_path", str(self.folder / name)]
        arguments += ["--model_args", model_args]
        log = self.folder / f"{name}.log"
        pids = [fork_lm_eval(arguments, e, log) for e in rank_environments(self.num_ranks)]
        until = time.monotonic() + SECONDS
        while True:
            ended = [os.waitpid(pid, os.WNOHANG) for pid in pids]
            if any(pid for pid, _ in ended) or stop() or time.monotonic() > until:
                break
            time.sleep(0.001)
        stopped = not any(pid for pid, _ in ended)
        for pid, (gone, _) in zip(pids, ended, strict=True):
            if stopped and not gone:
                os.kill(pid, signal.SIGKILL)
        codes = [s if pid else os.waitpid(p, 0)[1] for p, (pid, s) in zip(pids, ended, strict=True)]
        if stopped:
            return False
        if any(codes):
            sys.exit(f"a run ended with {codes}:\n{log.read_text()[-3000:]}")
        return True

    def samples(self, name: str) -> dict[str, bytes]:
        """Return the content of the samples files, by name without the date."""
        paths = sorted((self.folder / name).glob("**/samples_*.jsonl"))  # the newest last
        return {path.name.split("_20")[0]: path.read_bytes() for path in paths}


@dataclass
class Figures:
    """What one mode came to. Tokens are sampled ones."""

    kills: int = 0
    runs_resumed: int = 0
    runs_equal: int = 0
    tokens_of_a_run: int = 0
    tokens_repeated: int = 0
    most_tokens_under_way: int = 0
    scores_of_a_run: int = 0
    scores_repeated: int = 0
    most_scores_under_way: int = 0
    kill_points: list[float] = field(default_factory=list)  # shares of the run's tokens


def measure(command: Command, kills: int, rng: random.Random) -> Figures:
    """Leave one run alone, then kill others `kills` times in all."""
    figures = Figures(most_tokens_under_way=NUM_SEQS * MAX_TOKENS * command.num_ranks)
    figures.most_scores_under_way = NUM_SEQS * command.num_ranks
    begin, scored, clock = num_sampled(), num_scored(), time.monotonic()
    command.run("whole", lambda: False)
    seconds = time.monotonic() - clock
    figures.tokens_of_a_run = num_sampled() - begin
    figures.scores_of_a_run = num_scored() - scored
    want = command.samples("whole")
    assert len(want) == len(command.mode.tasks.split(","))
    while figures.kills < kills:
        name = f"run{figures.runs_resumed}"
        begin, scored, done = num_sampled(), num_scored(), False
        for _ in range(min(KILLS_A_RUN, kills - figures.kills)):
            if done := command.run(name, random_point(figures, seconds, begin, rng)):
                break
            figures.kills += 1
            figures.kill_points.append((num_sampled() - begin) / figures.tokens_of_a_run)
        done or command.run(name, lambda: False)
        figures.runs_resumed += 1
        figures.runs_equal += command.samples(name) == want
        figures.tokens_repeated += num_sampled() - begin - figures.tokens_of_a_run
        figures.scores_repeated += num_scored() - scored - figures.scores_of_a_run
    return figures


def random_point(
    figures: Figures, seconds: float, begin: int, rng: random.Random
) -> Callable[[], bool]:
    """Return when to kill: mostly after some more tokens, at times after some seconds."""
    if rng.random() < 0.15:
        until = time.monotonic() + rng.uniform(0, seconds)
        return lambda: time.monotonic() > until
    left = max(1, figures.tokens_of_a_run - (num_sampled() - begin))
    tokens = num_sampled() + rng.randint(1, left)
    return lambda: num_sampled() >= tokens


def write_data(folder: Path) -> None:
    """Write made-up problems in the Hub's columns."""
    wrong = {f"Incorrect Answer {k}": f"wrong {k}" for k in (1, 2, 3)}
    rows = [
        {
            "Record ID": f"r{i}",
            "Question": f"What is {i} + {i * i}?",
            "Correct Answer": f"{i + i * i}",
        }
        for i in range(5)
    ]
    lines = [json.dumps({**row, "Subdomain": "sums", **wrong}) + "\n" for row in rows]
    (folder / "gpqa_main.jsonl").write_text("".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint", help="a small one; float32 on the CPU is used")
    parser.add_argument(
        "--reward-model", help="a small one, for the searches; without it no search"
    )
    parser.add_argument("--kills", type=int, default=50, help="in all, over all modes")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--seed", type=int, default=0, help="of the points of the kills")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    args = parser.parse_args()
    import lm_eval.__main__
    import lm_eval.evaluator
    import lm_eval.models.huggingface

    import lm_eval_tts.models.hf  # noqa: F401

    count_work()
    index_tasks_once()
    lm_eval.evaluator.add_env_info = lambda results: None  # seconds of pip, not in the samples
    rng = random.Random(args.seed)
    names = [name for name in args.modes if args.reward_model or not MODES[name].scores]
    modes = [(name, ranks) for name in names for ranks in (1, 2)]
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder))
        os.environ["LM_EVAL_TTS_DATA"] = folder
        for number, (mode, ranks) in enumerate(modes):
            own = Path(folder) / f"{mode}{ranks}"
            own.mkdir()
            kills = args.kills * (number + 1) // len(modes) - args.kills * number // len(modes)
            command = Command(args.checkpoint, args.reward_model, MODES[mode], ranks, own)
            figures = results[f"{mode}, ranks: {ranks}"] = measure(command, kills, rng)
            repeated = figures.tokens_repeated / figures.kills / figures.tokens_of_a_run
            print(
                f"{mode}, {ranks} rank(s): {figures.kills} kills, {figures.runs_equal} of "
                f"{figures.runs_resumed} resumed runs equal, repeated per kill {repeated:.1%} of "
                f"a run of {figures.tokens_of_a_run} tokens, {figures.scores_repeated} scores in "
                f"all of {figures.scores_of_a_run} in a run",
                flush=True,
            )
    if args.json:
        args.json.write_text(json.dumps({k: vars(v) for k, v in results.items()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
