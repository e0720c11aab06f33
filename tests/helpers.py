"""Small things that many tests use."""

from lm_eval_tts.program import Completion, Delimiters, Generate, Program, Request, TokenIds
from lm_eval_tts.scheduler import Job, Result, run

THINK = Delimiters("<think>\n", "</think>", "\n<answer>", "</answer>")


def ids(text: str) -> TokenIds:
    return tuple(text.encode())


def text_of(token_ids: TokenIds) -> str:
    return bytes(token_ids).decode()


def byte_request(prompt: str = "2+2?", max_tokens: int = 1000, **changes) -> Request:
    """A request whose token ids are bytes, so that tests can read them."""
    return Request(ids(prompt), max_tokens, ids, text_of, **{"delimiters": THINK, **changes})


def run_one(program: Program, engine, seed: int = 0) -> Result:
    (result,) = run([Job(program, seed)], engine)
    return result


def completed(op: Generate, text: str, ending: str = "eos") -> tuple[Completion, ...]:
    """What an engine would send for text that ends by itself or runs into its limit."""
    if ending == "length":
        kept = ids(text)[: op.max_tokens]
        return (Completion(kept, kept, "length"),)
    if ending == "eos":
        return (Completion(ids(text), (*ids(text), 256), "eos"),)
    return (Completion(ids(text), ids(text + ending), "stop", ending),)
