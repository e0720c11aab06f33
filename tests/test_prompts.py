"""Prompt styles are data: the packaged ones, a user's own, and the messages they make."""

from pathlib import Path

import pytest

from lm_eval_tts.core.trace import Delimiters
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.prompts import (
    PromptStyle,
    build_messages,
    fill_instruction,
    load_prompts,
    plain_prompt,
    without_system,
)

USER = [{"role": "user", "content": "What is 2+2?"}]
STYLES = ["standard", "zeroshot", "cot", "cod", "r1", "reasoning", "token", "step", "class"]


@pytest.mark.parametrize("name", STYLES)
def test_every_style_of_the_readme_is_there_and_fills(name):
    prompts = load_prompts()
    style = prompts.style(name)
    values = {"thinking_tokens": 64, "thinking_steps": 5, "thinking_length": "short"}
    text = fill_instruction(style, prompts.preset(style.delimiters), values)
    assert "{thinking" not in text
    assert "{answer_" not in text
    assert bool(text) == (name != "zeroshot")


def test_other_braces_of_an_instruction_stay_as_they_are():
    prompts = load_prompts()
    text = fill_instruction(prompts.style("cot"), Delimiters(), {})
    assert r"\boxed{answer}" in text


def test_an_instruction_goes_to_the_system_role_or_into_the_user_turn():
    style = load_prompts().style("cot")
    system = build_messages(USER, style, "Think.", "system")
    assert [m["role"] for m in system] == ["system", "user"]
    (user,) = build_messages(USER, style, "Think.", "user")
    assert user["content"] == "Think.\n\nWhat is 2+2?"


def test_a_system_message_that_is_there_already_is_kept_in_front():
    history = [{"role": "system", "content": "Be kind."}, *USER]
    messages = build_messages(history, load_prompts().style("cot"), "Think.", "system")
    assert messages[0]["content"] == "Be kind.\n\nThink."
    assert without_system(messages)[0]["content"] == "Be kind.\n\nThink.\n\nWhat is 2+2?"
    assert history[0]["content"] == "Be kind."


def test_few_shot_turns_stay_and_the_style_is_put_around_the_last_one():
    history = [*USER, {"role": "assistant", "content": "4"}, {"role": "user", "content": "3+3?"}]
    messages = build_messages(history, load_prompts().style("zeroshot"), "", "system")
    assert messages == history
    assert plain_prompt(messages).endswith("4\n\n3+3?\n\n")


def test_a_users_file_adds_styles_and_replaces_texts(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "styles:\n"
        "  cot: {instruction: Mine.}\n"
        "  socratic: {instruction: 'Ask {thinking_steps} times.', question: 'Q: {question}'}\n"
        "delimiters:\n"
        "  mine: {thinking_start: '[[', thinking_end: ']]'}\n"
    )
    prompts = load_prompts(str(path))
    assert prompts.style("cot").instruction == "Mine."
    assert prompts.style("r1") == load_prompts().style("r1")
    assert prompts.preset("mine").thinking_end == "]]"
    style = prompts.style("socratic")
    assert fill_instruction(style, Delimiters(), {"thinking_steps": 3}) == "Ask 3 times."
    (message,) = build_messages(USER, style, "", "system")
    assert message["content"] == "Q: What is 2+2?"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("style: {}", "did you mean 'styles'"),
        ("styles: {a: {instructions: x}}", "did you mean 'instruction'"),
        ("styles: {a: {question: no place}}", "has no {question}"),
        ("styles: {a: {instruction: 7}}", "must be a text"),
        ("styles: {a: text}", "some of the fields"),
        ("- a list", "expected the sections"),
        ("a: [", "cannot be read"),
    ],
)
def test_a_wrong_prompt_file_is_named_with_what_is_wrong(tmp_path: Path, content, message):
    path = tmp_path / "wrong.yaml"
    path.write_text(content)
    with pytest.raises(SettingsError, match=message):
        load_prompts(str(path))


def test_the_beginning_of_an_answer_stays_at_the_end_and_the_style_is_around_the_question():
    style = load_prompts().style("cot")
    begun = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "Answer:"}]
    messages = build_messages(begun, style, "Think.", "user")
    assert [m["content"] for m in messages] == ["Think.\n\n2+2?", "Answer:"]
    assert plain_prompt(messages).endswith("2+2?\n\nAnswer:")


def test_the_question_in_two_pairs_of_braces_is_refused():
    with pytest.raises(SettingsError, match=r"write \{question\}"):
        PromptStyle(question="Q: {{question}}")


def test_a_placeholder_of_a_question_that_is_misspelt_is_named():
    with pytest.raises(SettingsError, match="'questoin': did you mean 'question'"):
        PromptStyle(question="{question}\n{questoin}")
    PromptStyle(question="{question} \\frac{a}{b}")  # other braces are text
