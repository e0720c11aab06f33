"""What lm_eval asks of a model class, passed on to the `Session` that the class has."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from lm_eval_tts.errors import failure_of
from lm_eval_tts.harness.response import Response
from lm_eval_tts.models.chat import ChatPrompt, TemplateChat, history_of
from lm_eval_tts.models.session import Session
from lm_eval_tts.prompts import Message, plain_prompt

logger = logging.getLogger(__name__)


class StrategyLM(LM):
    """In front of lm_eval's own class: its `generate_until`, and how ranks are gathered. A subclass
    makes `session`; template: what renders chats, where the model has a tokenizer."""

    session: Session
    template: TemplateChat

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: Mapping[str, Any], additional_config: Mapping[str, Any] | None = None
    ) -> Any:
        """Make a model as lm_eval does, but model_args may name a device or batch size too."""
        given = {k: v for k, v in (additional_config or {}).items() if v is not None}
        return super().create_from_arg_obj({**given, **arg_dict})

    def end_thinking_at(self, token: str | int | None) -> None:
        """Make `think_end_token` the default `thinking_end`, by its text or its id."""
        if token is None:
            return
        by_id = isinstance(token, int) or token.isdecimal()
        text = self.tokenizer.decode([int(token)]) if by_id else token
        self.session.defaults.setdefault("thinking_end", text)

    def apply_chat_template(
        self, chat_history: Sequence[Message], add_generation_prompt: bool = True
    ) -> ChatPrompt:
        """Render a chat, keeping its messages for `generate_until` to put a style around. One that
        the template refuses fails when it is to be answered, and no other with it."""
        try:
            text = self.template.apply(chat_history, add_generation_prompt)
        except Exception as error:  # whatever a template raises
            failure = str(failure_of("the chat template", error))
            return ChatPrompt(plain_prompt(chat_history), chat_history, failure)
        return ChatPrompt(text, chat_history)

    def generate_until(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[Response]:
        """Answer each request by the strategy that its generation kwargs name."""
        responses = self.session.answer(requests, self.rank, self.world_size, disable_tqdm)
        for instance, response in zip(requests, responses, strict=True):
            if not response.details.padding:
                self.cache_hook.add_partial("generate_until", instance.args, response)
        return responses

    def loglikelihood(self, requests: list[Instance], *args: Any, **options: Any) -> Any:
        """Rate continuations as lm-eval's own class does, after a line that says so. Raises
        RequestError for a chat that could not be rendered."""
        return super().loglikelihood(_without_strategy(requests), *args, **options)

    def loglikelihood_rolling(self, requests: list[Instance], *args: Any, **options: Any) -> Any:
        """Rate whole texts, likewise."""
        return super().loglikelihood_rolling(_without_strategy(requests), *args, **options)

    def gather_object(self, obj: Any, dst: int = 0) -> Any:
        """Gather as lm_eval does; documents that failed may be missing on one rank only."""
        reports = super().gather_object(self.session.report(), dst)
        gathered = super().gather_object(obj, dst)
        if gathered is None:
            return None
        self.session.add_up(reports)
        return fill_gaps(gathered)


def _without_strategy(requests: list[Instance]) -> list[Instance]:
    for instance in requests:
        history_of(instance.args[0])
    logger.warning(
        f"{len(requests)} log-likelihood requests: strategies act on written answers only, so "
        "these are answered as without one"
    )
    return requests


def fill_gaps(gathered: list[Any]) -> list[Any]:
    """Give each rank's lists of metrics the names that another has; samples are left alone.
    gathered: for each rank {task: {(metric, filter): values}}. A rank on which all documents of a
    task failed has a NaN for each metric, which is dropped where another rank has values."""
    for task in [task for task, found in gathered[0].items() if isinstance(found, dict)]:
        for name in {name for rank in gathered for name in rank[task]}:
            lists = [rank[task].setdefault(name, []) for rank in gathered]
            # Only of NaN, v == v is false.
            known = [any(not isinstance(v, float) or v == v for v in values) for values in lists]
            for values, has_some in zip(lists, known, strict=True):
                if any(known) and not has_some:
                    values.clear()
    return gathered
