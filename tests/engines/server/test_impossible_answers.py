"""An answer that cannot be true is refused, whatever it says."""

import pytest

from lm_eval_tts.core.program import Generate
from lm_eval_tts.engines.requests import BatchRow
from lm_eval_tts.engines.scripted import ByteTokenizer
from lm_eval_tts.engines.server.wire import Fault, Wire

ROW = BatchRow(Generate((1, 2, 3), 4), 0, 4, [1, 2, 3])


def read(token_ids=(7, 8), sent=3, counted=2, cached=1):
    usage = {"prompt_tokens": sent, "completion_tokens": counted}
    usage["prompt_tokens_details"] = {"cached_tokens": cached}
    choice = {"token_ids": list(token_ids), "finish_reason": "length"}
    wire = Wire("m", ByteTokenizer(), frozenset([0]), vocabulary_size=10)
    return wire.read({"choices": [choice], "usage": usage}, ROW)


def test_a_right_answer_is_taken():
    assert read().token_ids == (7, 8)


@pytest.mark.parametrize("token", [10, 10**9, -1, 7.0, 7.5, "7", None, True])
def test_an_id_that_is_none_of_the_vocabulary_is_refused(token):
    with pytest.raises(Fault):
        read((7, token))


@pytest.mark.parametrize(
    "counts",
    [{"cached": -1}, {"cached": 4}, {"cached": "1"}, {"sent": 3.0}, {"counted": "2"}],
    ids=str,
)
def test_counts_that_cannot_be_are_refused(counts):
    with pytest.raises(Fault):
        read(**counts)
