"""Stop strings: found in text, cut in tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm_eval_tts.engines.stopping import (
    complete,
    cut_before,
    ends_with_stop,
    find_stop,
    up_to_ending,
)
from lm_eval_tts.engines.tokenizer import ByteTokenizer, HFTokenizer

NO_EOS = frozenset[int]()


def test_the_earliest_stop_wins_and_of_those_the_longest():
    assert find_stop("abcdef", ["d", "bc", "bcd", "zz"]) == (1, "bcd")
    assert find_stop("abc", ["zz", ""]) is None


def test_a_token_that_runs_into_the_stop_is_cut_and_its_rest_encoded_anew(tiny_tokenizer):
    tokenizer = HFTokenizer(tiny_tokenizer)
    ids = tokenizer.encode("a></think> and more")
    completion = complete(ids, ["</think>"], NO_EOS, tokenizer)
    assert tokenizer.decode(completion.token_ids) == "a>"
    assert completion.sampled_ids == ids


def test_an_end_of_turn_is_not_part_of_the_text(tiny_tokenizer):
    tokenizer = HFTokenizer(tiny_tokenizer)
    ids = (*tokenizer.encode("answer"), 0)
    completion = complete(ids, ["</think>"], frozenset({0}), tokenizer)
    assert tokenizer.decode(completion.token_ids) == "answer"
    assert completion.finish_reason == "eos"


@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=4), st.data())
def test_the_newest_token_shows_a_stop_exactly_when_the_text_has_one(text, stop, data):
    tokenizer = ByteTokenizer()
    position = data.draw(st.integers(0, len(text)))
    ids = tokenizer.encode(text[:position] + stop + text[position:])
    for count in range(1, len(ids) + 1):
        if ends_with_stop(ids[:count], [stop], tokenizer):
            assert stop in tokenizer.decode(ids[:count])
            return
    pytest.fail("the stop string was not seen")


@given(st.text(max_size=40), st.data())
def test_cutting_gives_exactly_the_text_before(tiny_tokenizer, text, data):
    tokenizer = HFTokenizer(tiny_tokenizer)
    ids = tokenizer.encode(text)
    decoded = tokenizer.decode(ids)
    end = data.draw(st.integers(0, len(decoded)))
    assert tokenizer.decode(cut_before(ids, decoded, end, tokenizer)) == decoded[:end]


@pytest.mark.parametrize("text", ["Wait", " Wait,", "\nWait", "</think>\n<answer>", "½ é 数"])
def test_forced_text_means_the_same_in_the_middle_of_any_tokenizer(tiny_tokenizer, text):
    for tokenizer in (HFTokenizer(tiny_tokenizer), HFTokenizer(prefix_space_tokenizer())):
        left = tokenizer.encode("left side.")
        assert tokenizer.decode(left + tokenizer.encode(text)) == "left side." + text


def prefix_space_tokenizer():
    """A SentencePiece-like tokenizer, which puts a space before the first word (Llama 2)."""
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    pieces = ["<unk>", *(f"<0x{i:02X}>" for i in range(256)), "▁", "W", "a", "i", "t", "▁W"]
    tokenizer = Tokenizer(
        models.BPE(
            {piece: i for i, piece in enumerate(pieces)},
            [("▁", "W")],
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


@pytest.mark.parametrize(
    ("sampled", "stops", "want"),
    [
        ("so it is</think> 42", ["</think>"], "so it is</think>"),
        ("a stop, then abc", ["abc", "stop"], "a stop"),
        ("abcd", ["abcd", "bc"], "abc"),  # token by token, "bc" is complete first
        ("nothing to see", ["zz", ""], "nothing to see"),
    ],
)
def test_what_was_sampled_behind_the_ending_is_dropped(sampled, stops, want):
    assert bytes(up_to_ending(tuple(sampled.encode()), stops, NO_EOS, ByteTokenizer())) == (
        want.encode()
    )


def test_an_end_of_turn_ends_what_was_sampled_too():
    ids = (*b"yes", 256, *b"no</think>")
    assert up_to_ending(ids, ["</think>"], frozenset({256}), ByteTokenizer()) == (*b"yes", 256)


def test_a_token_that_runs_over_a_stop_string_is_the_last(tiny_tokenizer):
    tokenizer = HFTokenizer(tiny_tokenizer)
    ids = tokenizer.encode("<think>\nFirst we add")
    text = tokenizer.decode(ids)
    for end in range(1, len(text)):
        kept = up_to_ending(ids, [text[:end]], NO_EOS, tokenizer)
        assert text[:end] in tokenizer.decode(kept)
        assert text[:end] not in tokenizer.decode(kept[:-1])
