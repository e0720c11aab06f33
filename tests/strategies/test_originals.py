"""The published implementations' documented rules, worked anew on scripted trees and thoughts.

Each is a few lines that know nothing of this package: what docs/reproduce.md calls equal, is.
"""

from collections import Counter
from dataclasses import replace
from functools import partial
from random import Random

import pytest
from helpers import byte_request, run_one, text_of
from hypothesis import given
from hypothesis import strategies as st

from lm_eval_tts.core.program import Sampling
from lm_eval_tts.core.trace import Delimiters
from lm_eval_tts.engines.scripted import ScriptedEngine
from lm_eval_tts.engines.tokenizer import ByteTokenizer
from lm_eval_tts.prompts import load_prompts
from lm_eval_tts.reward_models.scripted import ScriptedRewardModel
from lm_eval_tts.settings import parse_settings

N, WIDTH, DEPTH = 16, 4, 6


def child(seed: int, path: str, number: int) -> str:
    """The text that follows a path when it is asked for the `number`-th time."""
    random = Random(f"{seed} {path} {number}")
    return f"s{random.randrange(10**6)}" + random.choice(["", "\n\n", "\n\n"])


def score_of(seed: int, path: str) -> float:
    return Random(f"score {seed} {path.strip()}").random()


class Expander:
    """Asks for the texts after paths, counting how often each was asked."""

    def __init__(self, seed: int) -> None:
        self.seed, self.counts = seed, Counter[str]()

    def __call__(self, path: str) -> str:
        number = self.counts[path]
        self.counts[path] += 1
        return path + child(self.seed, path, number)


def is_complete(path: str) -> bool:
    return not path.endswith("\n\n")


def search_and_learn(seed: int) -> list[str]:
    """Every iteration has n paths; complete ones leave; the first n compete, the best one wins."""
    expand, active, done = Expander(seed), [""] * N, []
    for depth in range(DEPTH):
        paths = [expand(path) for path in active]
        if depth == DEPTH - 1:
            paths = [to_the_end(expand, path) for path in paths]
        done += [path for path in paths if is_complete(path)]
        live = list(dict.fromkeys(path for path in paths if not is_complete(path)))
        if not live:
            break
        best = sorted(live, key=partial(score_of, seed))[-(N // WIDTH) :]
        active = ([path for path in live if path in best] * N)[:N]
    return done[:N]


def compute_optimal_tts(seed: int) -> list[str]:
    """Of n paths the best n / width are kept, complete ones in their place; the kept compete."""
    expand, active, places, done = Expander(seed), [""] * N, N // WIDTH, []
    for depth in range(DEPTH):
        paths = [expand(path) for path in active]
        if depth == DEPTH - 1:
            paths = [to_the_end(expand, path) for path in paths]
        kept = sorted(dict.fromkeys(paths), key=partial(score_of, seed))[-places:]
        done += [path for path in kept if is_complete(path)]
        live = [path for path in kept if not is_complete(path)]
        places = len(live)
        active = live * WIDTH
        if not live:
            break
    return done


def verifier_trees(seed: int) -> list[str]:
    """Each tree goes on with the best of its expansions and ends with it; the best tree wins."""
    expand, found = Expander(seed), []
    roots = [[expand("") for _ in range(WIDTH)] for _ in range(N // WIDTH)]
    for paths in roots:
        for depth in range(DEPTH):
            if depth == DEPTH - 1:
                paths = [to_the_end(expand, path) for path in paths]
            best = max(paths, key=partial(score_of, seed))
            if is_complete(best):
                break
            paths = [expand(best) for _ in range(WIDTH)]
        found.append(best)
    return found


def to_the_end(expand: Expander, path: str) -> str:
    while not is_complete(path):
        path += child(expand.seed, path, 0)
    return path


def found_by(preset: str, seed: int, **settings) -> tuple[list[str], str]:
    """The candidates of a beam search by a preset, and the one that is chosen."""
    settings = {"strategy": "beam", "n": N, "preset": preset, "temperature": 1.0, **settings}
    strategy = parse_settings(settings).strategy
    object.__setattr__(strategy, "num_iterations", DEPTH)
    expand = Expander(seed)

    def write(text: str, sampling_seed: int | None) -> str:
        path = text.removeprefix("2+2?")
        return to_the_end(expand, expand(path)).removeprefix(path)

    model = ScriptedRewardModel(lambda _, steps: score_of(seed, "\n\n".join(steps)))
    request = byte_request(sampling=Sampling(temperature=1.0), delimiters=Delimiters())
    engine = ScriptedEngine(write, max_num_seqs=64)
    trace = run_one(strategy.run(request), engine, reward_model=model).value
    texts = [text_of(candidate.trace.response_ids) for candidate in trace.candidates]
    return texts, text_of(trace.response_ids)


@pytest.mark.parametrize("original", [search_and_learn, compute_optimal_tts])
@pytest.mark.parametrize("seed", range(40))
def test_a_beam_search_by_preset_finds_and_chooses_what_the_original_does(original, seed):
    wanted = original(seed)
    have, chosen = found_by(original.__name__.replace("_", "-"), seed)
    assert sorted(have) == sorted(wanted)
    assert chosen == max(wanted, key=partial(score_of, seed))


@pytest.mark.parametrize("preset", ["search-and-learn", "compute-optimal-tts"])
@pytest.mark.parametrize("seed", range(20))
def test_verifier_trees_by_preset_find_and_choose_what_the_originals_do(preset, seed):
    wanted = verifier_trees(seed)
    have, chosen = found_by(preset, seed, strategy="dvts")
    assert sorted(have) == sorted(wanted)
    assert chosen == max(wanted, key=partial(score_of, seed))


START = "<|im_start|>"  # of any turn; one token, as in Qwen2.5


class TurnTokenizer(ByteTokenizer):
    """Bytes, and START as a token."""

    def encode(self, text: str):
        first, *others = (super(TurnTokenizer, self).encode(part) for part in text.split(START))
        return sum(((257, *part) for part in others), first)

    def decode(self, token_ids):
        return "".join(START if token == 257 else chr(token) for token in token_ids)


def thinks(thoughts: list[str]):
    """A model with a thought for each time that it was told, or made, to go on."""

    def write(text: str, seed: int | None = None) -> str:
        if f"{START}answer" in text:
            return " 7"
        return thoughts[min(text.count("Wait") + text.count("."), len(thoughts) - 1)]

    return write


def s1_fork(write, num_waits: int, wait_text: str, budget: int) -> str:
    """The fork's rules: where it ignores endings the first token cannot be one; a thought that is
    cut ends on a line of its own and with "Final Answer:", any other with the delimiter alone."""
    text, cut = f"{START}think", False
    for number in range(num_waits + 1):
        said = write(text)
        if num_waits and (not said or said.startswith(START)):
            text += "."
            said = write(text)
        thought = said.partition(START)[0]
        cut = len(thought) > budget  # the fork counts the end of the thought too, ours does not
        text += thought[:budget]
        if cut:
            break
        text += wait_text * (number < num_waits)
    if cut:
        text += "\n" * (not text.endswith("\n")) + f"{START}answer\nFinal Answer:"
    else:
        text += f"{START}answer"
    return text + write(text)


thoughts = st.lists(
    st.builds(str.__add__, st.text("ab\n", max_size=9), st.sampled_from(["", START, f"{START}us"])),
    min_size=1,
    max_size=4,
)


@given(thoughts, st.integers(0, 3), st.sampled_from(["Wait", ""]), st.sampled_from([4, 1000]))
def test_budget_forcing_by_preset_writes_what_the_fork_of_s1_does(
    thoughts, num_waits, wait_text, budget
):
    num_waits *= budget == 1000  # the fork gives each round the whole budget, which ours share
    strategy = parse_settings(
        {
            "preset": "s1",
            "max_thinking_tokens": budget,
            "num_waits": num_waits,
            "wait_text": wait_text,
        }
    ).strategy
    tokenizer = TurnTokenizer()
    marks = load_prompts().preset("s1")
    request = byte_request("Q", max_tokens=4000, delimiters=marks)
    request = replace(request, encode=tokenizer.encode, decode=tokenizer.decode)
    engine = ScriptedEngine(thinks(thoughts), tokenizer=tokenizer)
    trace = run_one(strategy.run(request), engine).value
    wanted = s1_fork(thinks(thoughts), num_waits, wait_text, budget)
    assert tokenizer.decode(trace.response_ids) == wanted
