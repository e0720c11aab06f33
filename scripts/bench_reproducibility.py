"""How much a response depends on what else is in the batch, by dtype.

The same greedy requests with several numbers of slots, each beside the run with one. Prints the
share of responses that are identical, token for token. In float32 all are; half precision rounds
differently in batches of different shapes, in any engine (see the reports of vLLM and s1).
"""

import argparse
import json
from pathlib import Path

import torch
from bench_hf import QUESTIONS
from transformers import AutoModelForCausalLM, AutoTokenizer

from lm_eval_tts.core.program import Generate
from lm_eval_tts.engines.hf.engine import HFEngine
from lm_eval_tts.engines.tokenizer import HFTokenizer


def responses(model, tokenizer, prompts, slots: int, length: int) -> list[tuple[int, ...]]:
    """Return the sampled ids of each prompt."""
    engine = HFEngine(
        model,
        HFTokenizer(tokenizer),
        eos_token_ids=[tokenizer.eos_token_id],
        max_length=1024,
        max_num_seqs=slots,
    )
    for index, prompt in enumerate(prompts):
        engine.add_request(index, Generate(prompt, length), 0)
    results = {}
    while engine.num_unfinished:
        results.update({o.request_id: o.result[0].sampled_ids for o in engine.step()})
    return [results[index] for index in range(len(prompts))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint", help="Hub name or folder")
    parser.add_argument("--requests", type=int, default=32)
    parser.add_argument("--slots", type=int, nargs="+", default=[4, 32])
    parser.add_argument("--length", type=int, default=100, help="tokens of a response, at most")
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    args = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(args.checkpoint)
    prompts = [
        tuple(
            tokenizer.encode(
                tokenizer.apply_chat_template(
                    [{"role": "user", "content": f"({i}) {QUESTIONS[i % len(QUESTIONS)]}"}],
                    tokenize=False,
                    add_generation_prompt=True,
                ),
                add_special_tokens=False,
            )
        )
        for i in range(args.requests)
    ]
    rows = []
    for dtype in ("float32", "bfloat16"):
        model = AutoModelForCausalLM.from_pretrained(
            args.checkpoint, dtype=getattr(torch, dtype)
        ).eval()
        want = responses(model, tokenizer, prompts, 1, args.length)
        for slots in args.slots:
            have = responses(model, tokenizer, prompts, slots, args.length)
            same = sum(a == b for a, b in zip(have, want, strict=True))
            rows.append({"dtype": dtype, "slots": slots, "identical": same, "of": len(want)})
            print(f"{dtype:9} {slots:3d} slots: {same} of {len(want)} as with one slot", flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
