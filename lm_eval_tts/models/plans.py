"""Turns an instance of lm_eval into what a strategy starts from.

context --prompt style, chat template--> token ids --settings--> request
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lm_eval_tts.core.identity import problem_of, seed_key
from lm_eval_tts.core.scheduler import derive_seed
from lm_eval_tts.core.texts import answer_in, opening_of
from lm_eval_tts.core.trace import Request
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.grading import response_classes
from lm_eval_tts.models.chat import (
    Chat,
    ChatPrompt,
    Rendered,
    TemplateChat,
    check_rendered,
    history_of,
)
from lm_eval_tts.models.checkpoint import Checkpoint, run_seed
from lm_eval_tts.models.families import arrives, switches_of, thinking_in
from lm_eval_tts.models.instances import Instance
from lm_eval_tts.prompts import build_messages, question_turn
from lm_eval_tts.settings import Settings


@dataclass(frozen=True, slots=True)
class Plan:
    """A request that was checked and encoded, ready to run."""

    settings: Settings
    request: Request
    seed: int
    prompt: str
    """The prompt's text, which `request` has as ids."""

    @property
    def opening(self) -> str:
        """The opening tag that the chat template has written of the response."""
        marks = self.settings.delimiters
        if not self.request.thinking_opened:
            return ""
        return marks.thinking_start or opening_of(marks.thinking_start, marks.thinking_end)


def make_plan(
    instance: Instance,
    context: str,
    repeat: int,
    settings: Settings,
    chat: Chat,
    checkpoint: Checkpoint,
    max_length: int,
) -> Plan:
    """Return the plan of one answer. Raises whatever a chat template or a tokenizer raises.

    context: the instance's, in its reasoning mode. max_length: the engine's context in tokens.
    """
    check_rendered(context)
    rendered = _render(context, settings, chat)
    question = question_turn(history_of(context))["content"]
    opening = opening_of(settings.delimiters.thinking_start, settings.delimiters.thinking_end)
    marks = replace(settings.delimiters, thinking_start=opening)
    thinking = thinking_in(rendered.text, question, marks)
    if thinking == "closed" and settings.strategy.needs_thinking_end:
        raise _closed(settings, chat)
    prompt = chat.encode(rendered)
    left = max_length - len(prompt)
    asked = left if settings.max_gen_toks is None else settings.max_gen_toks
    opened = thinking == "opened"
    seed = run_seed() if settings.seed is None else settings.seed
    seed = derive_seed(seed, seed_key(instance.doc, str(context)), repeat)
    request = Request(
        prompt=prompt,
        max_tokens=min(left, asked),
        encode=checkpoint.text.encode,
        decode=checkpoint.text.decode,
        question=question,
        delimiters=settings.delimiters,
        sampling=settings.sampling,
        until=_stops(settings, chat),
        context_limited=left <= asked,
        thinking_opened=opened,
        seed=derive_seed(seed, "strategy"),
        classify=_classifier(instance, settings, opening if opened else ""),
        problem=problem_of(instance.doc, str(context)),
        policy_size=checkpoint.policy_size,
        vocabulary_size=checkpoint.vocabulary_size,
        encode_after=checkpoint.text.encode_after,
    )
    return Plan(settings, request, seed, rendered.text)


def _stops(settings: Settings, chat: Chat) -> tuple[str, ...]:
    """Return the stop strings that the engine is to see.

    None where a thought may come first and could not be continued: `Response.answer` is cut then.
    """
    thinks = bool(settings.delimiters.thinking_end.strip())
    return settings.until if chat.can_continue or not thinks else ()


def _render(context: str, settings: Settings, chat: Chat) -> Rendered:
    """Put the prompt style around a context; without one it stays as it is."""
    if settings.style is None:
        return Rendered(str(context), isinstance(context, ChatPrompt))
    for role in [settings.instruction_role] if settings.instruction_role else ["system", "user"]:
        messages = build_messages(history_of(context), settings.style, settings.instruction, role)
        rendered = chat.render(messages)
        if not isinstance(chat, TemplateChat):
            return rendered
        if arrives(chat, settings.instruction, rendered, bool(settings.instruction_role)):
            return rendered
    raise SettingsError(
        f"the chat template drops or rewrites the instruction {settings.instruction[:60]!r}...: "
        "choose another instruction_role=, prompt_style= or delimiters="
    )


def _closed(settings: Settings, chat: Chat) -> SettingsError:
    """Return the error of a strategy that needs thinking which the template has closed."""
    switches = switches_of(chat) if isinstance(chat, TemplateChat) else ()
    return SettingsError(
        f"the chat template has closed the thinking, so strategy {settings.strategy.name!r} "
        "cannot think: switch it on by enable_thinking=True or chat_template_args= "
        f"(the template reads: {', '.join(switches) or 'nothing of the kind'}), "
        "or take strategy=single"
    )


def _classifier(
    instance: Instance, settings: Settings, opening: str
) -> Callable[[Sequence[str]], list[int | None]]:
    """Return what shows a strategy which responses have equal answers.

    It reads the options of a document and not its answer, so that no strategy can get near it.
    opening: what the chat template has written of each response.
    """
    by_filter = getattr(instance, "classify", None)  # of tasks with a grader of their own
    tags = settings.delimiters.tags
    if by_filter is not None:
        until = settings.until
        return lambda texts: by_filter([answer_in(opening + t, tags, until) for t in texts])
    options = instance.doc.get("options") if isinstance(instance.doc, dict) else None
    return lambda texts: response_classes([opening + text for text in texts], options, tags)
