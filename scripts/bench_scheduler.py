"""What the scheduler alone costs: many programs over an engine that answers at once.

Every op is answered at the next step with a completion made beforehand, so what is left is the
programs, their traces and the scheduling. Microseconds are per engine request; memory is what the
process grew by, at most, which should not depend on the number of programs. With --journal the
requests of `single` are journaled too, and then all taken from the journal, as by a run that goes
on.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lm_eval_tts.core.engine import Engine, Output
from lm_eval_tts.core.journal import Journal
from lm_eval_tts.core.program import Completion, Generate, TokenIds
from lm_eval_tts.core.scheduler import Job, run
from lm_eval_tts.core.trace import Delimiters, Request
from lm_eval_tts.engines.journaled import JournaledEngine
from lm_eval_tts.strategies import Strategy
from lm_eval_tts.strategies.budget import Budget
from lm_eval_tts.strategies.progressive import Progressive
from lm_eval_tts.strategies.single import Single

DELIMITERS = Delimiters("<think>", "</think>", "<answer>", "</answer>")
STRATEGIES: dict[str, Strategy] = {
    "single": Single(max_gen_toks=64),
    "budget": Budget(max_thinking_tokens=(10_000,), num_waits=2, max_answer_tokens=64),
    "progressive": Progressive(num_waits=3, max_thinking_tokens=10_000, max_answer_tokens=64),
}


class Instant:
    """Answers every op at the next step: 64 tokens and a stop string."""

    max_length = 1 << 20

    def __init__(self, max_num_seqs: int) -> None:
        self.max_num_seqs = max_num_seqs
        self._waiting: dict[int, Generate] = {}
        self._ids = tuple(range(64))

    @property
    def num_unfinished(self) -> int:
        """Ops not yet answered."""
        return len(self._waiting)

    def add_request(self, request_id: int, op: Generate, seed: int) -> None:
        """Queue an op."""
        self._waiting[request_id] = op

    def abort(self, request_id: int) -> None:
        """Drop an op."""
        self._waiting.pop(request_id, None)

    def step(self) -> list[Output]:
        """Answer all ops."""
        waiting, self._waiting = self._waiting, {}
        return [Output(number, (self._complete(op),)) for number, op in waiting.items()]

    def _complete(self, op: Generate) -> Completion:
        stop = op.stop[0] if op.stop else None
        return Completion(self._ids, (*self._ids, 0), "stop" if stop else "eos", stop)


def jobs(strategy: Strategy, count: int, prompt_tokens: int) -> Iterator[Job]:
    """Make the programs one by one, as they are asked for."""
    for number in range(count):
        prompt = (number, *range(1, prompt_tokens))
        yield Job(
            strategy.run(Request(prompt, 100_000, encode, decode, delimiters=DELIMITERS)), number
        )


def encode(text: str) -> TokenIds:
    return tuple(text.encode())


def decode(token_ids: TokenIds) -> str:
    return bytes(token_ids).decode(errors="replace")


def grown() -> float:
    """Return the most memory this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(name: str, strategy: Strategy, engine: Engine, args: argparse.Namespace) -> dict:
    """Run all programs over an engine; print and return what that took."""
    before, start = grown(), time.process_time()
    results = run(jobs(strategy, args.programs, args.prompt), engine)
    ops = sum(result.cost.num_engine_calls for result in results)
    seconds = time.process_time() - start
    row = {"strategy": name, "sequences": engine.max_num_seqs, "ops": ops, "seconds": seconds}
    row |= {"microseconds_per_op": seconds / ops * 1e6, "mebibytes": grown() - before}
    print(
        f"{name:20} {engine.max_num_seqs:5d} at once {ops:8d} ops {seconds:6.1f} s "
        f"{row['microseconds_per_op']:6.1f} us an op, memory grew by {row['mebibytes']:.0f} MiB",
        flush=True,
    )
    return row


def journaled(args: argparse.Namespace) -> Iterator[dict]:
    """Measure a run that keeps a journal, and one that takes all from it."""
    single, size = STRATEGIES["single"], args.sequences[0]
    with tempfile.TemporaryDirectory() as folder:
        for name in ("single, journaled", "single, gone on with"):
            with Journal(folder, {"run": "of this script"}) as journal:
                yield measure(name, single, JournaledEngine(Instant(size), journal), args)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", type=int, default=100_000)
    parser.add_argument("--prompt", type=int, default=300, help="tokens of a prompt")
    parser.add_argument("--strategies", nargs="*", choices=STRATEGIES, default=list(STRATEGIES))
    parser.add_argument("--journal", action="store_true", help="measure what a journal adds too")
    parser.add_argument("--sequences", type=int, nargs="*", default=[256, 4096])
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    args = parser.parse_args()
    rows = [
        measure(name, strategy, Instant(sequences), args)
        for name, strategy in STRATEGIES.items()
        if name in args.strategies
        for sequences in args.sequences
    ]
    rows += journaled(args) if args.journal else []
    if args.json:
        args.json.write_text(json.dumps({"settings": vars(args), "rows": rows}, default=str) + "\n")


if __name__ == "__main__":
    main()
