"""Each family of models gets the delimiters it was made for, from its own chat template."""

# templates read better unbroken

from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import trl
from helpers import run_one
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lm_eval_tts.engines.scripted import ScriptedEngine
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.models.chat import TemplateChat
from lm_eval_tts.models.checkpoint import Checkpoint
from lm_eval_tts.models.session import Session
from lm_eval_tts.prompts import load_prompts

TEMPLATES = Path(trl.__file__).parent / "chat_templates"
R1 = {"prompt_style": "r1"}
BUDGET = {**R1, "strategy": "budget", "max_thinking_tokens": 40, "max_answer_tokens": 40}
TURN = "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
CHATML = f"{{% for m in messages %}}{TURN}{{% endfor %}}"
ASSISTANT = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
KNOWS_THINK = "{# '</think>' of earlier turns #}"
TOKENS = [
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<think>",
    "</think>",
    "<｜User｜>",
    "<｜Assistant｜>",
    "<|channel|>",
    "<|message|>",
    "<|start|>",
    "<|end|>",
    "<|return|>",
    "<|channel>",
    "<channel|>",
    "<|turn>",
    "<turn|>",
    "<|think|>",
    "<|begin|>",
    "<|content|>",
    "[THINK]",
    "[/THINK]",
    "[INST]",
    "[/INST]",
    "<seed:bos>",
    "<seed:eos>",
    "<seed:think>",
    "</seed:think>",
    "<|inner_prefix|>",
    "<|inner_suffix|>",
    "<|START_RESPONSE|>",
    "<|END_RESPONSE|>",
    "<|START_THINKING|>",
    "<|END_THINKING|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|eot_id|>",
    "<|system|>",
    "<|role_sep|>",
    "<|message_sep|>",
    "<|im_user|>",
    "<|im_assistant|>",
    "<|im_middle|>",
    "<|user|>",
    "<|assistant|>",
]
# What a family's template does, in our own words: its kind of turns, and its way to think.
OWN = {
    "smollm3": "{% set s = messages[0].content if messages[0].role == 'system' else 'Reasoning Mode: "
    "/think. You think in depth.' %}<|im_start|>system\n{{ s.replace('/think', '') }}<|im_end|>\n"
    "{% for m in messages if m.role != 'system' %}"
    + TURN
    + "{% endfor %}"
    + ASSISTANT
    + KNOWS_THINK,
    "phi3-first": "{% for m in messages if m.role != 'system' %}<|{{ m.role }}|>\n{{ m.content }}"
    "<|end|>\n{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
    "magistral": "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% else %}First draft "
    "your thinking process as [THINK]...[/THINK].{% endif %}{% for m in messages if m.role != "
    "'system' %}{% if m.role == 'user' %}[INST]{{ m.content }}[/INST]{% else %}{{ m.content }}"
    "<|endoftext|>{% endif %}{% endfor %}",
    "granite": "{% set s = messages[0].content if messages[0].role == 'system' else 'You are Granite.' "
    "+ (' Write your thoughts between <think></think> and write your response between "
    "<response></response>.' if thinking else '') %}<|im_start|>system\n{{ s }}<|im_end|>\n"
    "{% for m in messages if m.role != 'system' %}" + TURN + "{% endfor %}" + ASSISTANT,
    "nemotron-v2": "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content.replace("
    "'/think', '') + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant"
    "\n<think>\n{% endif %}" + KNOWS_THINK,
    "seed-oss": "{% set t = '<seed:think>' %}{% for m in messages %}<seed:bos>{{ m.role }}\n"
    "{{ m.content }}<seed:eos>{% endfor %}{% if add_generation_prompt %}<seed:bos>assistant\n{% endif %}",
    "kimi-k2-thinking": CHATML + ASSISTANT + KNOWS_THINK,
    "minimax": CHATML
    + "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
    + KNOWS_THINK,
    "apriel": "<|im_start|>system\nThen write [BEGIN FINAL RESPONSE].{% if messages[0].role == "
    "'system' %}{{ messages[0].content }}{% endif %}<|im_end|>\n{% for m in messages if m.role != "
    "'system' %}"
    + TURN
    + "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\nHere are "
    "my reasoning steps:\n{% endif %}",
    "apertus": "{# '<|inner_prefix|>' before a thought #}" + CHATML + ASSISTANT,
    "solar": "{% if false %}<|begin|>assistant<|think|>{% endif %}{% for m in messages %}<|begin|>"
    "{{ m.role }}<|content|>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|begin|>"
    "assistant{% if effort == 'low' %}<|think|><|end|><|begin|>assistant{% endif %}{% endif %}",
    "exaone-deep": CHATML
    + "{% if add_generation_prompt %}<|im_start|>assistant\n<thought>\n{% endif %}",
    "deepseek-v3.1": "{% for m in messages %}{% if m.role == 'assistant' %}<｜Assistant｜></think>"
    "{{ m.content }}<|endoftext|>{% else %}{{ '<｜User｜>' if m.role == 'user' }}{{ m.content }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<｜Assistant｜>{{ '<think>' if thinking "
    "else '</think>' }}{% endif %}",
    "gemma4-large": "{% for m in messages %}<|turn>{{ m.role }}\n{{ m.content }}<turn|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn>model\n{% if not enable_thinking %}<|channel>thought\n"
    "<channel|>{% endif %}{% endif %}",
    "phi4-mini": "{% if messages[0].role == 'system' %}<|system|>{{ messages[0].content }}<|end|>"
    "{% endif %}{% for m in messages if m.role != 'system' %}<|{{ m.role }}|>{{ m.content }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% else %}<|endoftext|>{% endif %}",
    "phi4-mini-reasoning": "<|system|>Your name is Phi, an AI math expert developed by Microsoft."
    "{% for m in messages if m.role == 'system' %} {{ m.content }}{% endfor %}<|end|>{% for m in "
    "messages if m.role != 'system' %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% else %}<|endoftext|>{% endif %}",
    "bielik": "<s>" + CHATML + ASSISTANT + KNOWS_THINK,
    "mimo": "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are MiMo.<|im_end|>\n"
    "{% endif %}" + CHATML + ASSISTANT + KNOWS_THINK,
    "gigachat": "developer system<|role_sep|>\nMaintain a chain of reasoning.<|message_sep|>\n\n"
    "{% for m in messages %}{{ m.role }}<|role_sep|>\n{{ m.content }}<|message_sep|>\n\n{% endfor %}"
    "{% if add_generation_prompt %}assistant<|role_sep|>\n{% endif %}",
    "step": "{% if reasoning_effort is defined and messages[0].role != 'system' %}<|im_start|>system\n"
    "Reasoning: {{ reasoning_effort }}\n\n<|im_end|>\n{% endif %}"
    + CHATML
    + "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
    + KNOWS_THINK,
    "kimi-vl": "{% for m in messages %}<|im_{{ m.role }}|>{{ m.role }}<|im_middle|>{% if m.content is "
    "string %}{{ m.content }}{% else %}<|media_start|>image<|media_content|><|media_pad|><|media_end|>"
    "{% endif %}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_assistant|>assistant"
    "<|im_middle|>{% endif %}",
    "hunyuan": "{# '</think>', '<answer>' of earlier turns #}" + CHATML + ASSISTANT,
    "plain": CHATML + ASSISTANT,
}


@cache
def tokenizer_of(template: str, more: tuple[str, ...] = (), eos: str = "<|endoftext|>"):
    """Bytes, and the tags of all families as single tokens."""
    backend = Tokenizer(
        models.BPE({c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, [])
    )
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=backend, clean_up_tokenization_spaces=False)
    fast.add_tokens([AddedToken(t, special=True, normalized=False) for t in (*TOKENS, *more)])
    fast.eos_token, fast.bos_token = eos, "<|im_start|>"
    own = template in OWN
    fast.chat_template = (
        OWN[template] if own else (TEMPLATES / f"{template}.jinja").read_text(encoding="utf-8")
    )
    return fast


def session_of(template: str, more: tuple[str, ...] = (), **template_args) -> Session:
    tokenizer = tokenizer_of(template, more)
    session = Session({}, "tts-hf", frozenset())
    chat = TemplateChat(
        tokenizer,
        template_args,
        lambda text, add_special_tokens: tokenizer.encode(text, add_special_tokens=False),
    )
    checkpoint = Checkpoint(tokenizer, {})
    session.serve(checkpoint, chat, lambda: SimpleNamespace(max_length=40_000))
    return session


def plan_of(session: Session, **settings):
    instance = SimpleNamespace(args=("Is 7 prime?", {}), doc={"id": "x"}, task_name="t")
    return session.plan(instance, 0, session.settings_reader()(settings))


def prompt_and_response(session: Session, thought: str, ends: bool = True) -> tuple[str, str]:
    """The prompt of a budget-forced request and its response, by a model that thinks `thought`."""
    plan = plan_of(session, **BUDGET)
    marks, text = plan.request.delimiters, session.checkpoint.text

    def write(before: str, seed: int | None) -> str:
        if marks.thinking_end.strip() in before.rpartition("prime?")[2]:
            return "yes"
        return thought + marks.thinking_end.strip() if ends else thought * 20

    engine = ScriptedEngine(write, tokenizer=text, max_length=40_000, eos_token_id=4_000_000)
    trace = run_one(plan.settings.strategy.run(plan.request), engine).value
    return text.decode(trace.prompt), text.decode(trace.response_ids)


# Template, its arguments, the preset it gets, and whether it opens the thinking by itself.
THINKING = [
    ("qwen3", {}, "qwen3", False),
    ("qwen3_5_think", {}, "qwen3", True),
    ("qwen3_5_nothink", {"enable_thinking": True}, "qwen3", True),
    ("qwen3_6", {}, "qwen3", True),
    ("deepseek_r1_distill", {}, "deepseek-r1", True),
    ("deepseek-v3.1", {"thinking": True}, "qwen3", True),
    ("gemma4", {"enable_thinking": True}, "gemma4", False),
    ("gemma4-large", {"enable_thinking": True}, "gemma4", False),
    ("gptoss", {}, "gpt-oss", False),
    ("glm4moe", {}, "qwen3", False),
    ("nemotron_3_nano", {}, "qwen3", True),
    ("lfm2_2_5", {}, "qwen3", False),
    ("smollm3", {}, "qwen3", False),
    ("magistral", {}, "mistral", False),
    ("granite", {"thinking": True}, "granite", False),
    ("nemotron-v2", {}, "qwen3", True),
    ("seed-oss", {}, "seed-oss", False),
    ("kimi-k2-thinking", {}, "qwen3", False),
    ("minimax", {}, "qwen3", True),
    ("apriel", {}, "apriel", True),
    ("apertus", {}, "apertus", False),
    ("solar", {}, "solar", False),
    ("exaone-deep", {}, "exaone-deep", True),
    ("hunyuan", {}, "think", False),
    ("phi4-mini-reasoning", {}, "qwen3", False),
    ("bielik", {}, "qwen3", False),
    ("mimo", {}, "qwen3", False),
    ("step", {"reasoning_effort": "low"}, "qwen3", True),
]
# Templates of models without a way of their own: the tags are those of the prompt style.
PLAIN = [
    ("qwen2_5", {}),
    ("qwen3_instruct_2507", {}),
    ("llama3_2", {}),
    ("gemma", {}),
    ("gemma3", {}),
    ("phi3", {}),
    ("phi3-first", {}),
    ("granite", {}),
    ("plain", {}),
    ("phi4-mini", {}),
    ("gigachat", {}),
]
CLOSED = [
    ("qwen3", {"enable_thinking": False}),
    ("qwen3_5_nothink", {}),
    ("nemotron_3_nano", {"enable_thinking": False}),
    ("glm4moe", {"enable_thinking": False}),
    ("deepseek-v3.1", {}),
    ("gemma4-large", {}),
    ("cohere2", {}),
    ("solar", {"effort": "low"}),
]


@pytest.mark.parametrize(("template", "arguments", "preset", "opened"), THINKING)
@pytest.mark.parametrize("ends", [True, False])
def test_a_thinking_family_is_forced_in_its_own_delimiters(
    template, arguments, preset, opened, ends
):
    session, marks = session_of(template, **arguments), load_prompts().preset(preset)
    prompt, response = prompt_and_response(session, "So.\n", ends)
    assert session.checkpoint.family.delimiters == preset
    assert prompt.rstrip().endswith(marks.thinking_start.strip()) == opened
    opening = "" if opened else marks.thinking_start
    thought = "So.\n" if ends else "So.\n" * 10
    ending = marks.thinking_end + marks.answer_start
    assert response == f"{opening}{thought}{ending}yes{marks.answer_end}"


@pytest.mark.parametrize(("template", "arguments"), [row[:2] for row in THINKING] + PLAIN)
@pytest.mark.parametrize("style", ["r1", "cot", "token"])
def test_the_instruction_arrives_to_the_letter_and_the_familys_own_on_thinking_stays(
    template, arguments, style
):
    session = session_of(template, **arguments)
    plan = plan_of(session, prompt_style=style, thinking_tokens=64)
    prompt = session.checkpoint.text.decode(plan.request.prompt)
    assert plan.settings.instruction in prompt
    if template in ("smollm3", "magistral", "granite") and session.checkpoint.family.delimiters:
        own = session.chat.apply([{"role": "user", "content": "Is 7"}]).partition("Is 7")[0]
        assert own.strip() in prompt
    names_tags = "between" in plan.settings.instruction
    assert names_tags == (style != "cot" and session.checkpoint.family.delimiters is None)


@pytest.mark.parametrize(("template", "arguments"), PLAIN)
def test_a_plain_model_gets_the_tags_of_the_style(template, arguments):
    session = session_of(template, **arguments)
    assert session.checkpoint.family.delimiters is None
    _, response = prompt_and_response(session, "So.\n")
    assert response == "<think>\nSo.\n</think>\n<answer>yes</answer>"


@pytest.mark.parametrize(("template", "arguments"), CLOSED)
def test_a_thinking_that_the_template_has_closed_is_not_opened_again(template, arguments):
    session = session_of(template, **arguments)
    assert session.info()["template_thinking"] == "closed"
    with pytest.raises(SettingsError, match=r"has closed the thinking.*switch it on"):
        plan_of(session, **BUDGET)
    plan = plan_of(session, **R1, strategy="single")
    assert not plan.opening


@pytest.mark.parametrize("style", ["cot", "zeroshot", "standard", "cod"])
def test_a_thought_that_the_template_opens_is_no_answer_whatever_the_style(style):
    plan = plan_of(session_of("deepseek_r1_distill"), prompt_style=style, strategy="single")
    assert plan.opening == "<think>\n"
    assert plan.request.classify(["I guess 99. But wait, the answer is 98."]) == [None]


@pytest.mark.parametrize("named", ["qwen3", "deepseek-r1", "s1", "gpt-oss", "final-answer"])
def test_every_preset_goes_with_the_style_of_the_shipped_tasks(named):
    plan = plan_of(session_of("plain"), **BUDGET, delimiters=named)
    assert plan.request.delimiters == load_prompts().preset(named)
    assert "<answer>" not in plan.settings.instruction


def test_delimiters_that_the_user_names_win_over_the_familys():
    plan = plan_of(session_of("qwen3"), **BUDGET, delimiters="think")
    assert plan.request.delimiters.answer_start == "\n<answer>"
    assert "<answer>" in plan.settings.instruction


def test_a_role_that_drops_the_instruction_is_refused_where_the_user_named_it():
    session = session_of("phi3-first")
    with pytest.raises(SettingsError, match="drops or rewrites the instruction"):
        plan_of(session, **R1, instruction_role="system")


def test_a_template_that_two_kinds_of_models_share_gets_a_question_instead_of_a_guess():
    session = session_of("kimi-vl")
    with pytest.raises(SettingsError, match=r"how does this model think\?.*delimiters=kimi-vl"):
        plan_of(session, **BUDGET)
    assert plan_of(session, **BUDGET, delimiters="kimi-vl").request.delimiters.thinking_end
    plan_of(session, **R1, strategy="single")


def test_unknown_tags_get_a_question_instead_of_a_guess():
    session = session_of("plain", ("<|ponder_thought|>", "<|/ponder_thought|>"))
    with pytest.raises(SettingsError, match=r"how does this model think\?.*ponder_thought"):
        plan_of(session, **BUDGET)
    plan_of(session, **BUDGET, delimiters="think")
    plan_of(session, **R1)


@pytest.mark.parametrize(
    ("template", "ending"),
    [
        ("qwen3", "<|im_end|>"),
        ("plain", "<|im_end|>"),
        ("gptoss", "<|return|>"),
        ("llama3_2", "<|eot_id|>"),
        ("phi3", "<|end|>"),
        ("gemma4", "<turn|>"),
        ("magistral", "<|endoftext|>"),
        ("phi4-mini", "<|end|>"),
        ("gigachat", "<|message_sep|>"),
        ("kimi-vl", "<|im_end|>"),
    ],
)
def test_what_the_template_ends_a_turn_with_ends_a_turn(template, ending):
    session = session_of(template)
    tokenizer = session.checkpoint.tokenizer
    assert tokenizer.convert_tokens_to_ids(ending) in session.checkpoint.eos_token_ids


def test_the_line_at_the_start_says_what_was_found():
    session = session_of("qwen3_5_think")
    line = session.checkpoint.family.line(session.checkpoint.tokenizer)
    assert line == (
        "chat template: delimiters: qwen3; '<think>' to '</think>', single tokens; "
        "thinking in the prompt: opened; a turn ends with '<|im_end|>'"
    )
    assert session.info()["model_delimiters"] == "qwen3"


def test_a_template_that_writes_the_date_is_said_to():
    session = session_of("llama3_2")
    assert "today's date" in session.checkpoint.family.line(session.checkpoint.tokenizer)
