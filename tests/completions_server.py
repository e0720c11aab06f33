"""A completions server on loopback that writes as the scripted engine does, and can misbehave.

It speaks the dialect it is told to, and serves its faults, one a call, before it answers.
"""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lm_eval_tts.engines.scripted import EOS, babble
from lm_eval_tts.engines.tokenizer import ByteTokenizer

KEY = "sk-secret-of-the-test"


class CompletionsServer(ThreadingHTTPServer):
    """dialect: "tokens", "ids", "text", "strict" or "chat". ends: write `text`, then end."""

    daemon_threads = True

    def __init__(self, dialect: str = "tokens", text: str | None = None, tokenizer=None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.dialect = dialect
        self.text = text
        self.tokenizer = tokenizer or ByteTokenizer()
        self.eos = EOS if tokenizer is None else 0
        self.faults: list[str] = []
        self.delay = 0.0
        self.heeds_bias = True
        self.calls: list[dict] = []
        self.answered: list[dict] = []  # of the calls, those that were not met by a fault
        self.headers_seen: list[dict] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def next_fault(self) -> str | None:
        with self.lock:
            return self.faults.pop(0) if self.faults else None

    def stop(self) -> None:
        """Answer nothing any more, not even on connections that are open."""
        self.faults = ["reset"] * 999
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address) -> None:
        """A client that hangs up, as ours does at a stop string, is no error."""


class Handler(BaseHTTPRequestHandler):
    server: CompletionsServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *args) -> None: ...

    def do_GET(self) -> None:
        if self.headers.get("Authorization") == "Bearer wrong":
            return self.send(401, {"error": "Incorrect API key provided: wrong"})
        return self.send(200, {"data": [{"id": "scripted", "max_model_len": 400}]})

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.calls.append(body)
            server.headers_seen.append(dict(self.headers))
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        try:
            self.answer(body)
        finally:
            with server.lock:
                server.at_once -= 1

    def answer(self, body: dict) -> None:
        wanted = "/v1/chat/completions" if self.server.dialect == "chat" else "/v1/completions"
        if self.path != wanted:
            return self.send(404, {"error": "no such path"})
        if reason := self.misunderstood(body):
            return self.send(400, {"error": reason})
        time.sleep(self.server.delay)
        fault = self.server.next_fault()
        if fault and not fault.startswith("lie"):
            return self.misbehave(fault)
        if not fault:
            self.server.answered.append(body)
        if self.server.dialect != "tokens":
            return self.stream(body)
        return self.send(200, lie(self.completion(body), fault))

    def misunderstood(self, body: dict) -> str | None:
        dialect = self.server.dialect
        if dialect in ("text", "strict") and not isinstance(body["prompt"], str):
            return "prompt must be a string"
        if dialect == "strict" and "top_k" in body:
            return "Unrecognized request argument supplied: top_k"
        return None

    def misbehave(self, fault: str) -> None:
        if fault == "slow":
            time.sleep(2)
        elif fault == "reset":
            self.connection.close()
        elif fault == "half":
            self.send(200, {"choices": []}, length=1000)
            self.connection.close()
        elif fault == "garbage":
            self.send(200, b"<html>proxy</html>")
        elif fault == "400":
            self.send(400, {"error": "a prompt that is refused"})
        else:
            self.send(int(fault), {"error": f"busy, {self.headers.get('Authorization')}"})

    def send(self, status: int, content: dict | bytes, length: int | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(data)))
        if status == 429:
            self.send_header("Retry-After", "0.05")
        self.end_headers()
        self.wfile.write(data)

    def write(self, body: dict) -> tuple[list[int], str]:
        """Return the ids up to the limit, as the scripted engine writes them, and the reason."""
        codec, limit = self.server.tokenizer, body["max_tokens"]
        prompt = body["prompt"] if "prompt" in body else json.dumps(body["messages"])
        text = codec.decode(prompt) if isinstance(prompt, list) else prompt
        seed = body["seed"] if body["temperature"] else None
        ids: tuple[int, ...] = ()
        if self.server.text is not None:
            ids = (*codec.encode(self.server.text), self.server.eos)
            if self.server.heeds_bias and (never := body.get("logit_bias")):
                ids = tuple(codec.encode(".")[0] if str(i) in never else i for i in ids)
            return [*ids[:limit]], "stop" if len(ids) <= limit else "length"
        while len(ids) < limit:
            ids += codec.encode(babble(text + codec.decode(ids), seed))
        return [*ids[:limit]], "length"

    def text_of(self, ids: list[int]) -> str:
        return self.server.tokenizer.decode([i for i in ids if i != self.server.eos])

    def completion(self, body: dict) -> dict:
        ids, reason = self.write(body)
        stop_reason = None
        for count in range(1, len(ids) + 1):
            text = self.text_of(ids[:count])
            if found := [stop for stop in body.get("stop", []) if stop in text]:
                ids, reason, stop_reason = ids[:count], "stop", found[0]
                break
        choice = {"token_ids": ids, "finish_reason": reason, "stop_reason": stop_reason}
        if "logprobs" in body:
            top = {f"token_id:{k}": -1.0 - k for k in range(body["logprobs"])}
            choice["logprobs"] = {
                "token_logprobs": [-1.5] * len(ids),
                "top_logprobs": [top] * len(ids),
            }
        sent = len(body["prompt"])
        usage = {"prompt_tokens": sent, "completion_tokens": len(ids)}
        usage["prompt_tokens_details"] = {"cached_tokens": sent // 2}
        return {"choices": [{"index": 0, "text": self.text_of(ids), **choice}], "usage": usage}

    def stream(self, body: dict) -> None:
        ids, reason = self.write(body)
        text = self.text_of(ids)
        if not body.get("stream"):
            return self.send(200, {"choices": [{"text": text, "finish_reason": reason}]})
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        chat = self.server.dialect == "chat"
        for start in range(0, len(text), 3):
            piece = text[start : start + 3]
            self.event({"delta": {"content": piece}} if chat else {"text": piece})
        self.event({"finish_reason": reason})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True
        return None

    def event(self, choice: dict) -> None:
        self.wfile.write(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")


def lie(answer: dict, fault: str | None) -> dict:
    """Make an answer contradict itself."""
    choice, usage = answer["choices"][0], answer["usage"]
    if fault == "lie about counts":
        usage["completion_tokens"] += 3
    elif fault == "lie about the prompt":
        usage["prompt_tokens"] -= 1
    elif fault == "lie about the limit":
        choice["token_ids"] = choice["token_ids"] * 50
        usage["completion_tokens"] = len(choice["token_ids"])
    elif fault == "lie about the end":
        choice["finish_reason"] = "error"
    elif fault == "lie by silence":
        del choice["token_ids"]
    return answer
