"""What a response says besides its text, as metrics and as a record in the samples file."""

from typing import Any

from lm_eval_tts.core.texts import shared_length
from lm_eval_tts.harness.response import USAGE_METRICS, Response, Usage, details_of


def usage_metrics(response: Response) -> dict[str, float]:
    """Return the counts of a response; the scorer's where a reward model rated its candidates."""
    metrics, candidates = _counts(response.details.usage), response.details.candidates
    rated = any("reward" in candidate.details.scores for candidate in candidates)
    return {n: v for n, v in metrics.items() if rated or not n.startswith("scorer_")}


def point_tokens(response: Response) -> dict[str, float]:
    """Return what each point of an anytime run has thought and sampled."""
    return {
        f"{name}@{label}": _counts(point.details.usage)[name]
        for label, point in response.details.points.items()
        if point.details.usage is not None
        for name in ("thinking_tokens", "sampled_tokens")
    }


def text_record(response: str) -> dict[str, Any]:
    """Return for a samples file what the text consists of, the tree that a search found it in, and
    the text at each point of an anytime run: how many characters it shares with the response from
    its start, and what then follows."""
    details = details_of(response)
    texts = {
        label: (shared := shared_length(response, point), point[shared:])
        for label, point in details.points.items()
    }
    found = {"pieces": list(details.pieces), "point_texts": texts, "tree": list(details.tree)}
    return {name: value for name, value in found.items() if value}


def prompt_record(response: str) -> dict[str, Any]:
    """Return the prompt that was sent, for a samples file; nothing where it is not known."""
    prompt = details_of(response).prompt
    return {} if prompt is None else {"prompt": prompt._asdict()}


def _counts(usage: Usage | None) -> dict[str, float]:
    if usage is None:
        return {}
    return {name: float(getattr(usage, field)) for field, name in USAGE_METRICS.items()}
