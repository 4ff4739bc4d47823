"""A server that speaks OpenAI's chat completions, well or badly, on a port of its own: for tests and benchmarks.

    with LlmServer(by_words({"free": "spam"}, "ham"), Manners(logprobs=True)) as server:
        ... server.url, server.key ...

It reads the prompt as a model would: keys and labels from the rules, the task from between its marks.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-test-0123456789abcdef-very-secret"
_FENCED = re.compile(r"<data-(\w+)>\n(.*)\n</data-\1>", re.DOTALL)
_LABEL = re.compile(r"^(\w+): (.*?)(?: \((.*)\))?$", re.MULTILINE)


@dataclass(frozen=True)
class Asked:
    """What the prompt asks. labels: key to label. shots: (text, what the assistant answered)."""

    labels: dict[str, str]
    text: str
    shots: tuple[tuple[str, Any], ...]
    multiple: bool
    body: Mapping[str, Any]


Mind = Callable[[Asked], Mapping[str, float]]
"""How the model judges: label to probability (each by itself where several may hold)."""


@dataclass
class Manners:
    """How the server behaves. Shares are of the requests, drawn by a hash of the request and how often it came.

    accuracy: with which it says what its mind says; otherwise another label. json_schema, json_object: whether it
    takes such a response_format (400 otherwise). prose: it claims to, and answers in prose. fenced: JSON in a code
    fence with words behind. wrong: share of answers with a label that is none. logprobs: whether it gives them.
    refuses: fields of a request that it calls wrong. seconds: to answer. limited: requests that get 429 first, with
    Retry-After; broken: share of 500s; dropped: share of connections that are cut; garbled: share of replies that are
    no JSON; huge: share of replies that never seem to end; drips: seconds between the bytes of a reply. usage: `true`,
    `none`, or numbers that it claims. echo: it repeats the key in its errors. obeys: it says what the task's text says
    after OBEY. down: 503 for everything. redirect: where it sends all. status: for everything. gzip: it claims that.
    """

    accuracy: float = 1.0
    json_schema: bool = True
    json_object: bool = True
    prose: bool = False
    fenced: bool = False
    wrong: float = 0.0
    logprobs: bool = False
    refuses: tuple[str, ...] = ()
    seconds: float = 0.0
    limited: int = 0
    retry_after: str = "0.05"
    broken: float = 0.0
    dropped: float = 0.0
    garbled: float = 0.0
    huge: float = 0.0
    drips: float = 0.0
    usage: Any = "true"
    echo: bool = False
    obeys: bool = False
    down: bool = False
    redirect: str = ""
    status: int = 0
    gzip: bool = False


@dataclass
class Seen:
    """requests: all that came; answered: 200s that were sent whole; tokens: (read, written) that it really counts for
    them. most_at_once: requests at one time. prompts: request bodies."""

    requests: int = 0
    answered: int = 0
    read: int = 0
    written: int = 0
    at_once: int = 0
    most_at_once: int = 0
    keys: set[str] = field(default_factory=set)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    times: dict[str, int] = field(default_factory=dict)


def by_words(words: Mapping[str, str], otherwise: str, sure: float = 0.95) -> Mind:
    """A model that goes by words: the first that is in the text decides."""

    def mind(asked: Asked) -> dict[str, float]:
        told = next((label for word, label in words.items() if word in asked.text.casefold()), otherwise)
        rest = (1 - sure) / max(len(asked.labels) - 1, 1)
        return {label: sure if label == told else rest for label in asked.labels.values()}

    return mind


def by_examples(asked: Asked) -> dict[str, float]:
    """A model that knows nothing but the examples in its prompt: their labels by overlap of words."""
    words = set(asked.text.casefold().split())
    scores = dict.fromkeys(asked.labels, 1e-3)
    total = 1e-9
    for text, answer in asked.shots:
        own = set(text.casefold().split())
        near = (len(words & own) / max(math.sqrt(len(words) * len(own)), 1)) ** 8
        total += near
        for key in asked.labels:
            scores[key] += near * (answer.get(key, False) if asked.multiple else answer["answer"] == key)
    if asked.multiple:
        return {label: min(0.99, max(0.01, scores[key] / total)) for key, label in asked.labels.items()}
    mass = sum(scores.values())
    return {label: scores[key] / mass for key, label in asked.labels.items()}


class LlmServer:
    """The server, running while the block lasts. manners may be changed meanwhile."""

    def __init__(self, mind: Mind, manners: Manners | None = None, *, key: str = KEY) -> None:
        self.mind = mind
        self.manners = manners or Manners()
        self.key = key
        self.seen = Seen()
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> LlmServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    owner: LlmServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        owner, seen = self.owner, self.owner.seen
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with owner.lock:
            seen.requests += 1
            seen.at_once += 1
            seen.most_at_once = max(seen.most_at_once, seen.at_once)
            seen.keys.add(self.headers.get("Authorization", ""))
            digest = hashlib.sha256(raw).hexdigest()
            seen.times[digest] = seen.times.get(digest, 0) + 1
            chance = random.Random(f"{digest}{seen.times[digest]}")
        try:
            self._answer(raw, chance)
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with owner.lock:
                seen.at_once -= 1

    def _answer(self, raw: bytes, chance: random.Random) -> None:
        owner, manners = self.owner, self.owner.manners
        if manners.seconds:
            time.sleep(manners.seconds)
        if manners.redirect:
            return self._send(307, b"{}", {"Location": manners.redirect})
        if self.headers.get("Authorization") != f"Bearer {owner.key}":
            return self._error(401, "invalid_api_key", f"Incorrect API key provided: {self.headers['Authorization']}")
        said = f" you sent {self.headers['Authorization']}" if manners.echo else ""
        if manners.status:
            return self._error(manners.status, "odd", f"as told.{said}")
        if manners.down:
            return self._error(503, "down", f"we are down.{said}")
        with owner.lock:
            limited = manners.limited > 0
            manners.limited -= limited
        if limited:
            return self._error(429, "rate_limited", "too fast" + said, {"Retry-After": manners.retry_after})
        if chance.random() < manners.broken:
            return self._error(500, "broken", "internal" + said)
        if chance.random() < manners.dropped:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return None
        body = json.loads(raw)
        with owner.lock:
            owner.seen.bodies.append(body)
        form = body.get("response_format", {}).get("type", "")
        for refused in manners.refuses:
            if refused in body:
                return self._error(400, "invalid_request", f"Unrecognized argument: {refused}{said}")
        if (form == "json_schema" and not manners.json_schema) or (form == "json_object" and not manners.json_object):
            return self._error(400, "invalid_request", f"response_format {form} is not supported{said}")
        if chance.random() < manners.garbled:
            return self._send(200, b'{"choices": [{"mess')
        if chance.random() < manners.huge:
            return self._huge()
        reply = self._reply(body, chance)
        with owner.lock:
            owner.seen.answered += 1
        self._send(200, reply)
        return None

    def _reply(self, body: Mapping[str, Any], chance: random.Random) -> bytes:
        manners = self.owner.manners
        asked = read_prompt(body)
        mind = dict(self.owner.mind(asked))
        if chance.random() > manners.accuracy:
            mind = _mistaken(mind, asked, chance)
        key_of = {label: key for key, label in asked.labels.items()}
        content, tokens = _said(asked, mind, key_of, manners, chance)
        message: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": content}}
        if manners.logprobs and body.get("logprobs"):
            message["logprobs"] = {"content": tokens}
        read = sum(len(each["content"]) // 4 + 4 for each in body["messages"])
        written = max(1, len(content) // 4)
        with self.owner.lock:
            self.owner.seen.read += read
            self.owner.seen.written += written
        reply: dict[str, Any] = {"object": "chat.completion", "choices": [message]}
        if manners.usage == "true":
            reply["usage"] = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        elif manners.usage != "none":
            reply["usage"] = manners.usage
        return json.dumps(reply).encode()

    def _huge(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 34))
        self.end_headers()
        self.close_connection = True
        for _ in range(1 << 14):
            self.wfile.write(b" " * (1 << 16))

    def _error(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, json.dumps({"error": {"code": code, "message": message}}).encode(), headers or {})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.owner.manners.gzip:
            self.send_header("Content-Encoding", "gzip")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.owner.manners.drips and status == 200:
            for byte in body:
                self.wfile.write(bytes([byte]))
                time.sleep(self.owner.manners.drips)
        else:
            self.wfile.write(body)


def read_prompt(body: Mapping[str, Any]) -> Asked:
    """Read a request as a model would."""
    system, *rest = body["messages"]
    listed = system["content"].split("Labels, each after its key:\n", 1)[1].split("\n\n", 1)[0]
    labels = {key: label for key, label, _ in _LABEL.findall(listed) if key != "unsure"}
    turns = [each for each in rest if each["role"] == "user" and _FENCED.search(each["content"])]
    answers = [each["content"] for each in rest if each["role"] == "assistant"]
    texts = [_FENCED.search(each["content"]).group(2) for each in turns]  # type: ignore[union-attr]
    shots = tuple((text, json.loads(answer)) for text, answer in zip(texts[:-1], answers, strict=False))
    return Asked(labels, texts[-1], shots, "Several labels may hold" in system["content"], body)


def _mistaken(mind: Mapping[str, float], asked: Asked, chance: random.Random) -> dict[str, float]:
    best = max(mind, key=lambda label: mind[label])
    other = chance.choice([label for label in asked.labels.values() if label != best])
    return {**mind, best: mind[other], other: mind[best]}


def _said(
    asked: Asked, mind: Mapping[str, float], key_of: Mapping[str, str], manners: Manners, chance: random.Random
) -> tuple[str, Sequence[Mapping[str, Any]]]:
    """Return the content and its tokens."""
    best = max(mind, key=lambda label: mind[label])
    if manners.obeys and "OBEY" in asked.text:
        return asked.text.split("OBEY", 1)[1].strip(), []
    if chance.random() < manners.wrong:
        return json.dumps({"answer": "QUUX"}), []
    if manners.prose:
        return f"Let me think about that task. I would say the label is {best}. I hope this helps!", []
    tokens: list[Mapping[str, Any]] = []
    if asked.multiple:
        tokens.append(_token("{"))
        for place, (key, label) in enumerate(asked.labels.items()):
            p = mind[label]
            tokens.append(_token((", " if place else "") + f'"{key}":'))
            word = " true" if p > 0.5 else " false"
            tokens.append(_token(word, {" true": p, " false": 1 - p}))
        tokens.append(_token("}"))
    else:
        tops = {key_of[label]: p for label, p in mind.items()}
        tokens = [_token('{"answer": "'), _token(key_of[best], tops), _token('"}')]
    content = "".join(token["token"] for token in tokens)
    if manners.fenced:
        return f"Here you are:\n```json\n{content}\n```\nIs there anything else?", []
    return content, tokens


def _token(text: str, tops: Mapping[str, float] | None = None) -> dict[str, Any]:
    chances = tops or {text: 1.0}
    top = [{"token": word, "logprob": math.log(max(p, 1e-9))} for word, p in chances.items()]
    return {"token": text, "logprob": math.log(max(chances[text], 1e-9)), "top_logprobs": top}
