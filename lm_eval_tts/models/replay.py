"""`tts-replay`: recorded generations instead of a network, through the standard harness.

    lm_eval --model tts-replay --model_args path=samples.jsonl --tasks math500_cot

Old logs are graded by today's rules, without a GPU. A response belongs to a document by the text
of its question (or its id), not by its place in the file."""

import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance

from lm_eval_tts.core.identity import recording_keys
from lm_eval_tts.errors import DataError, SettingsError
from lm_eval_tts.harness.response import USAGE_METRICS, Details, Response, Usage
from lm_eval_tts.models.base import StrategyLM
from lm_eval_tts.models.session import Session, keys_of
from lm_eval_tts.results import files
from lm_eval_tts.results.files import Recording
from lm_eval_tts.settings import parse_settings

logger = logging.getLogger(__name__)

REPLAY_ARGUMENTS = frozenset({"path", "response_column", "tokenizer", "max_failures"})


class TTSReplay(StrategyLM):
    """Serves the responses of a file or folder; repeats are served in the file's order.
    path: a samples file of lm-eval, a JSONL or CSV file with a response column, or a folder of
    them. response_column: its name. tokenizer: a Hub name or folder, to count tokens where the
    recording has no counts."""

    def __init__(
        self,
        path: str | None = None,
        response_column: str = "response",
        tokenizer: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Note where the recordings are; they are read when a task asks for them.
        max_failures: see `RunState`. Raises SettingsError and DataError for wrong arguments."""
        super().__init__()
        self.session = Session(kwargs, "tts-replay", REPLAY_ARGUMENTS, strict=True)
        if path is None:
            raise SettingsError("tts-replay needs recordings: --model_args path=<file or folder>")
        if not Path(path).expanduser().exists():
            raise DataError(f"path={path!r}: there is no such file or folder")
        self._path = path
        self._response_column = response_column
        self._tokenizer = None
        if tokenizer:
            from transformers import AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(tokenizer)
        self._library: dict[str | None, dict[str, list[Recording]]] = {}

    def generate_until(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[Response]:
        """Return the recorded response of each request; a missing one is a failure."""
        repeats = [repeat for _, repeat in keys_of(requests)]
        responses = list(map(self._respond, requests, repeats))
        failures = [response.details.failure for response in responses]
        self.session.state.count(failures)
        if missing := list(filter(None, failures)):
            some = f"{len(missing)} of {len(requests)}"
            logger.warning("%s responses are not in the recording: %s", some, missing[0])
        return responses

    def _respond(self, instance: Instance, repeat: int) -> Response:
        tags = parse_settings({**self.session.defaults, **instance.args[1]}).delimiters.tags
        recording = next(iter(self._recordings_of(instance)[repeat:]), None)
        options = instance.doc.get("options")
        if recording is None:
            what = f"repeat {repeat + 1} of " if repeat else ""
            name = instance.doc.get("id", instance.args[0][:60])
            failure = f"{what}{name!r} is not recorded in {self._path}"
        elif options and recording.options and dict(recording.options) != dict(options):
            failure = f"{instance.doc.get('id')!r} was recorded with other options or another order"
        else:
            candidates = candidates_of(recording.answered, tags)
            details = Details(
                self._usage(recording),
                tags,
                points=points_of(recording, tags),
                candidates=candidates,
                independent=bool(candidates) and "pass@1" in recording.metrics,
            )
            return Response(recording.response, details)
        return Response("", Details(tags=tags, failure=failure))

    def _recordings_of(self, instance: Instance) -> Sequence[Recording]:
        if (task := instance.task_name) not in self._library:
            found: defaultdict[str, list[Recording]] = defaultdict(list)  # by what names a document
            for path in files.recording_files(self._path, task):
                for recording in files.load_recordings(path, self._response_column):
                    for key in recording_keys(recording.question, recording.doc_id):
                        found[key].append(recording)
            self._library[task] = found
        keys = recording_keys(instance.doc.get("question"), instance.doc.get("id"))
        return next((self._library[task][key] for key in keys if key in self._library[task]), [])

    def _usage(self, recording: Recording) -> Usage | None:
        """Return the recorded counts, else those of the tokenizer, else nothing."""
        row = recording.metrics
        counts = {field: row[name] for field, name in USAGE_METRICS.items() if name in row}
        if "total" in counts:
            return Usage(**counts)
        if self._tokenizer is None:
            return None
        total = len(self._tokenizer.encode(recording.response, add_special_tokens=False))
        return Usage(answer=total, total=total, sampled=total, engine_calls=1)

    def loglikelihood(self, requests: Any, **unused: Any) -> Any:
        """Not recorded. Raises DataError."""
        raise DataError("tts-replay has recorded texts only: log-likelihood tasks cannot run on it")

    loglikelihood_rolling = loglikelihood


def points_of(recording: Recording, tags: tuple[str, str, str, str]) -> dict[str, Response]:
    """Return the intermediate answers that one of our samples files has for a response."""
    row, texts = recording.metrics, files.point_texts(recording.answered, recording.response)
    points = {}
    for label, text in texts.items():
        counts = {name: row.get(f"{name}_tokens@{label}", 0) for name in ("thinking", "sampled")}
        points[label] = Response(text, Details(Usage(**counts), tags))
    return points


def candidates_of(
    record: Mapping[str, Any], tags: tuple[str, str, str, str]
) -> tuple[Response, ...]:
    """Return the candidates that one of our samples files has for a response; else none."""
    candidates = []
    for found in record.get("candidates") or ():
        if isinstance(found, dict) and "text" in found:
            said = found.get("scores", {}).items()
            scores = {name: math.nan if value is None else float(value) for name, value in said}
            usage = Usage(total=found.get("total_tokens") or 0)
            candidates.append(Response(found["text"], Details(usage, tags, scores=scores)))
    return tuple(candidates)
