"""Votes by confidence on an engine that says how sure each character is."""

import numpy as np
import pytest
from helpers import Tree, byte_request, run_one, text_of

from lm_eval_tts.core.program import Sampling, TokenLogprob
from lm_eval_tts.core.trace import Delimiters
from lm_eval_tts.engines import scripted
from lm_eval_tts.engines.scripted import ScriptedEngine
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.strategies import deepconf
from lm_eval_tts.strategies.deepconf import THRESHOLDS, DeepConf


@pytest.fixture(autouse=True)
def sure_by_case(monkeypatch):
    """Capital letters are written with confidence 4, digits with 2, the rest with 1."""

    def logprob(row, token):
        char = chr(token % 256)
        sure = 4.0 if char.isupper() else 2.0 if char.isdigit() else 1.0
        return TokenLogprob(-0.1, (-sure,) * (row.op.logprobs or 0), -sure)

    monkeypatch.setattr(scripted, "_logprob", logprob)


def solve(strategy: DeepConf, *texts: str, **changes):
    asked = byte_request(
        **{
            "sampling": Sampling(temperature=1.0),
            "delimiters": Delimiters(),
            "classify": lambda texts: [ord(text[-1]) if text else None for text in texts],
            **changes,
        }
    )
    tree = {"": list(texts)} if isinstance(texts[0], str) else texts[0]
    return run_one(strategy.run(asked), ScriptedEngine(Tree(tree)))


def test_one_confident_response_outvotes_two_that_are_not():
    result = solve(DeepConf(n=3, keep=1.0, confidence="mean"), "aaa1", "aab1", "ABCDEFGHIJ2")
    assert text_of(result.value.response_ids)[-1] == "2"
    scores = [dict(candidate.scores)["confidence"] for candidate in result.value.candidates]
    assert scores == [1.2, 1.2, round(43 / 12, 4)]


def test_the_least_confident_share_has_no_vote():
    texts = ["AB1", "AC1", "zzzzzzz2", "zyzzzzz2", "zyzzzyz2"]
    assert text_of(solve(DeepConf(n=5, keep=0.4), *texts).value.response_ids)[-1] == "1"


def test_weak_responses_are_given_up_while_they_are_written():
    """Two warm-up responses of confidence 4; of the two others one falls below it."""
    long = "A" * 200 + "1"
    pieces = {
        "": [long, long, "A" * 200 + "2", "a" * 200 + "3"],
        "A" * 64: ["A" * 136 + "2"],
        "A" * 128: ["A" * 72 + "2"],
        "A" * 192: ["A" * 8 + "2"],
    }
    strategy = DeepConf(n=4, warmup=2, window=32, keep=1.0, confidence="lowest")
    result = solve(strategy, pieces)
    written = [text_of(candidate.trace.response_ids) for candidate in result.value.candidates]
    assert written == [long, long, "A" * 200 + "2", "a" * 64]
    assert text_of(result.value.response_ids) == long
    assert result.cost.num_sampled_tokens == 3 * 202 + 64


def test_a_stop_string_across_two_pieces_ends_the_response():
    pieces = {"": ["A" * 80 + "1", "A" * 63 + "xyz"], "A" * 63 + "x": ["yzz" + "B" * 90]}
    strategy = DeepConf(n=2, warmup=1, window=8, keep=1.0)
    result = solve(strategy, pieces, until=("xy",))
    assert text_of(result.value.candidates[1].trace.response_ids).startswith("A" * 63 + "xy")
    assert len(result.value.candidates[1].trace.response_ids) == 128


def test_the_threshold_is_what_the_kept_share_reaches():
    assert THRESHOLDS["rank"]([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.1) == 10
    assert THRESHOLDS["rank"]([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.9) == 2


def test_a_response_without_a_token_is_in_no_share(monkeypatch):
    own = deepconf.token_confidences  # without that of the end of the turn
    monkeypatch.setattr(deepconf, "token_confidences", lambda logprobs: own(logprobs)[:-1])
    result = solve(DeepConf(n=3, keep=0.5, confidence="mean"), "a1", "", "A2").value
    scores = [dict(candidate.scores)["confidence"] for candidate in result.candidates]
    assert scores == pytest.approx([1.5, float("nan"), 3.0], nan_ok=True)
    assert text_of(result.response_ids) == "A2"


def test_responses_that_are_all_given_up_leave_the_warm_up_to_vote():
    strategy = DeepConf(n=3, warmup=1, window=8, keep=1.0)
    result = solve(strategy, "A" * 20 + "1", "a" * 90, "a" * 80)
    assert text_of(result.value.response_ids)[-1] == "1"


@pytest.mark.parametrize("warmup", [0, 2])
@pytest.mark.parametrize("threshold", ["rank", "percentile"])
@pytest.mark.parametrize("confidence", ["mean", "bottom", "lowest", "tail"])
def test_what_a_batch_moves_in_the_seventh_digit_changes_no_vote(
    monkeypatch, warmup, threshold, confidence
):
    """All responses are equally sure; noise may neither drop one, nor give one up, nor tip."""
    texts = ["A" * 90 + "1", "B" * 90 + "2", "C" * 90 + "2", "D" * 90 + "1"]
    strategy = DeepConf(
        n=4, keep=0.5, confidence=confidence, window=16, warmup=warmup, threshold=threshold
    )
    pieces = {"": texts, **{text[:64]: [text[64:]] for text in texts}}
    found = []
    for noise in (0.0, 1e-6, -1e-6):
        by_letter = {ord("B"): noise, ord("C"): -noise}

        def logprob(row, token, by_letter=by_letter):
            sure = 4.0 + by_letter.get(token, 0.0)
            return TokenLogprob(-0.1, (-sure,) * (row.op.logprobs or 0), -sure)

        monkeypatch.setattr(scripted, "_logprob", logprob)
        found.append(solve(strategy, pieces).value)
    assert found[0] == found[1] == found[2]
    assert {dict(c.scores)["confidence"] for c in found[0].candidates} == {4.0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep": 0}, "keep=0: allowed is a number in"),
        ({"warmup": 16}, "warmup=16: allowed is 0 to n - 1 = 15"),
        ({"confidence": "top"}, "allowed: bottom, lowest, mean, tail"),
        ({"warmup": 2, "max_thinking_tokens": 9}, "cannot be set together"),
    ],
)
def test_wrong_settings_are_told(changes, message):
    with pytest.raises(SettingsError, match=message):
        DeepConf(**changes)


@pytest.mark.parametrize("n", [4, 8, 11, 16, 64])
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.7, 0.9, 1.0])
def test_a_percentile_is_numpys(n, keep):
    values = [float((7 * i) % 11 + i / 100) for i in range(n)]
    want = float(np.percentile(values, 100 - 100 * keep))
    found = THRESHOLDS["percentile"](values, keep)
    assert found == pytest.approx(want)
    assert sum(value >= found for value in values) == sum(value >= want for value in values)


@pytest.mark.parametrize("n", [4, 8, 16, 64])
def test_a_rank_lets_one_more_response_vote_than_a_percentile(n):
    values = [float(i) for i in range(n)]
    by_rank, by_percentile = (
        sum(value >= THRESHOLDS[how](values, 0.9) for value in values)
        for how in ("rank", "percentile")
    )
    assert by_rank == by_percentile + 1
