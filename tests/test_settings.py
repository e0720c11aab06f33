"""What users type, and what they are told when it is wrong."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm_eval_tts.core.trace import Delimiters
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.settings import parse_settings
from lm_eval_tts.strategies.budget import Budget
from lm_eval_tts.strategies.single import Single


def test_nothing_given_is_lm_evals_own_behaviour():
    settings = parse_settings({})
    assert settings.strategy == Single(max_gen_toks=256)
    assert settings.style is None
    assert settings.sampling.temperature == 0


def test_command_line_texts_become_numbers_and_lists():
    settings = parse_settings(
        {
            "strategy": "budget",
            "prompt_style": "r1",
            "max_thinking_tokens": ["100", 200.0],
            "temperature": "0.6",
            "do_sample": "true",
            "until": "\n\n",
            "wait_text": 3,
        }
    )
    assert settings.strategy == Budget(max_thinking_tokens=(100, 200), wait_text="3")
    assert settings.sampling.temperature == 0.6
    assert settings.until == ("\n\n",)


def test_do_sample_false_is_greedy_whatever_the_temperature():
    assert parse_settings({"do_sample": False, "temperature": 0.8}).sampling.temperature == 0


@pytest.mark.parametrize("alias", ["max_gen_toks", "max_new_tokens", "max_tokens"])
def test_every_alias_of_max_gen_toks_works(alias):
    assert parse_settings({alias: 9}).strategy == Single(max_gen_toks=9)


def test_a_style_brings_its_delimiters_and_the_user_may_replace_some():
    settings = parse_settings({"prompt_style": "reasoning", "answer_end": "</final>"})
    assert settings.delimiters == Delimiters(
        "<reasoning>\n", "</reasoning>", "\n<answer>", "</final>"
    )
    assert "<reasoning>" in settings.instruction
    assert "</final>" in settings.instruction


def test_a_setting_of_another_strategy_warns_and_does_nothing(caplog):
    settings = parse_settings({"strategy": "single", "num_waits": 2})
    assert settings.strategy == Single()
    assert "num_waits=2 has no effect with strategy 'single'" in caplog.text


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"strategy": "bugdet"}, "unknown strategy 'bugdet': did you mean 'budget'"),
        ({"prompt_style": "cott"}, "unknown prompt_style 'cott': did you mean 'cot'"),
        ({"max_thinking_token": 5}, "did you mean"),
        ({"delimiters": "thin"}, "did you mean 'think'"),
        ({"strategy": "budget", "prompt_style": "r1", "num_waits": 1.5}, "a whole number"),
        ({"strategy": "budget", "prompt_style": "r1", "num_waits": True}, "a whole number"),
        ({"strategy": "budget", "prompt_style": "r1", "max_thinking_tokens": -4}, r"\[-4\]"),
        ({"strategy": "budget", "prompt_style": "cot"}, "needs a thinking_end"),
        ({"strategy": "rejection", "prompt_style": "r1"}, "set temperature > 0"),
        ({"temperature": "warm"}, "temperature='warm': allowed is a number"),
        ({"temperature": -1}, "temperature=-1.0: allowed is a number >= 0"),
        ({"top_p": 0}, r"allowed is a number in \(0, 1\]"),
        ({"do_sample": "maybe"}, "True or False"),
        ({"do_sample": True}, "set temperature > 0"),
        ({"instruction_role": "assistant"}, "allowed are 'system' and 'user'"),
        ({"prompt_style": "token"}, "needs thinking_tokens: set thinking_tokens="),
        ({"prompt_style": "class", "thinking_length": "huge"}, "'short' and 'long'"),
        ({"max_gen_toks": 0}, "max_gen_toks=0"),
        ({"strategy": "budget", "prompt_style": "r1", "max_gen_toks": 0}, "max_gen_toks=0"),
        ({"prompt_file": "/nowhere/styles.yaml"}, "cannot be read"),
    ],
)
def test_a_wrong_setting_gets_one_clear_line(given_, message):
    with pytest.raises(SettingsError, match=message) as caught:
        parse_settings({"prompt_style": "zeroshot", **given_})
    assert "\n" not in str(caught.value)


values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9))


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "strategy",
                "max_thinking_tokens",
                "num_waits",
                "temperature",
                "top_k",
                "until",
                "seed",
            ]
        ),
        st.one_of(values, st.lists(values, max_size=3)),
    )
)
def test_whatever_is_given_either_parses_or_is_a_settings_error(given_):
    with contextlib.suppress(SettingsError):
        parse_settings(given_)


@pytest.mark.parametrize(("given_", "want"), [(None, ""), (False, ""), (True, "Wait"), ("a", "a")])
def test_words_that_lm_eval_makes_values_of_are_never_written_as_text(given_, want):
    settings = {"strategy": "budget", "prompt_style": "r1", "wait_text": given_}
    assert parse_settings(settings).strategy.wait_text == want
