"""What the scheduler alone costs: many programs over an engine that answers at once.

Every op is answered at the next step with a completion made beforehand, so what is left is the
programs, their traces and the scheduling. Microseconds are per engine request; memory is what the
process grew by, at most, which should not depend on the number of programs.
"""

import argparse
import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from lm_eval_tts.core.engine import Output
from lm_eval_tts.core.program import Completion, Generate, TokenIds
from lm_eval_tts.core.scheduler import Job, run
from lm_eval_tts.core.trace import Delimiters, Request
from lm_eval_tts.strategies import Budget, Progressive, Single, Strategy

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", type=int, default=100_000)
    parser.add_argument("--prompt", type=int, default=300, help="tokens of a prompt")
    parser.add_argument("--sequences", type=int, nargs="*", default=[256, 4096])
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    args = parser.parse_args()
    rows = []
    for name, strategy in STRATEGIES.items():
        for sequences in args.sequences:
            before, start = grown(), time.process_time()
            results = run(jobs(strategy, args.programs, args.prompt), Instant(sequences))
            ops = sum(result.cost.num_engine_calls for result in results)
            seconds = time.process_time() - start
            row = {
                "strategy": name,
                "sequences": sequences,
                "ops": ops,
                "microseconds_per_op": seconds / ops * 1e6,
                "mebibytes": grown() - before,
            }
            rows.append(row)
            print(
                f"{name:12} {sequences:5d} at once {ops:8d} ops {row['microseconds_per_op']:6.1f} "
                f"us an op, memory grew by {row['mebibytes']:.0f} MiB"
            )
    if args.json:
        args.json.write_text(json.dumps({"settings": vars(args), "rows": rows}, default=str) + "\n")


if __name__ == "__main__":
    main()
