"""A small HTTP load generator for loopback: bounded in count and time, one process, its latencies measured at the
socket.

`python -m benchmarks.load` reads a JSON list of streams from stdin, runs them at the same time and prints a JSON
list of results. Two kinds of stream: closed loop (each connection sends its next request when it has its answer) and
paced (requests are due at fixed times; latency counts from the moment a request was due, so a server that stalls cannot
hide it).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MOST_SECONDS = 120.0
MOST_REQUESTS = 2_000_000
KEEP_EVERY = 97
"""Of every so many answers one body is kept for the caller to look at."""
MOST_KEPT = 200


@dataclass(frozen=True)
class Stream:
    """Requests of one kind. url: on loopback. bodies: file with one body a line, sent in turn; empty for GET.

    rate: requests a second over all connections; 0 for a closed loop. seconds and count: whichever ends first; count 0
    means no limit by number. warm_s: seconds before anything is counted.
    """

    name: str
    url: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    bodies: str = ""
    connections: int = 1
    rate: float = 0.0
    seconds: float = 5.0
    count: int = 0
    warm_s: float = 0.0


@dataclass(frozen=True)
class Result:
    """What a stream saw. Latencies in milliseconds. failed: broken connections and time-outs. kept: sampled bodies."""

    name: str
    requests: int
    seconds: float
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    statuses: dict[str, int]
    failed: int
    kept: list[str]


def run_streams(streams: Sequence[Stream]) -> list[Result]:
    """Run streams in a process of their own and return their results. Raises RuntimeError if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps([asdict(stream) for stream in streams]),
        capture_output=True,
        text=True,
        timeout=max(stream.seconds + stream.warm_s for stream in streams) + 60,
        cwd=Path(__file__).resolve().parent.parent,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the load generator failed: {done.stderr.strip()[-500:]}")
    return [Result(**item) for item in json.loads(done.stdout)]


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self) -> None:
        import httptools

        make: Any = httptools.HttpResponseParser
        self._new_parser: Callable[[], Any] = lambda: make(self)
        self._parser: Any = None
        self._transport: Any = None
        self._body: list[bytes] = []
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self.open = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._parser = self._new_parser()
        self.open = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("closed"))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except Exception as error:
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(ConnectionError(str(error)))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status, keep = self._parser.get_status_code(), self._parser.should_keep_alive()
        body = b"".join(self._body)
        self._body = []
        self._parser = self._new_parser()
        if not keep:
            self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((status, body))

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        self.open = False
        self._transport.close()


class _Runner:
    """One stream under way."""

    def __init__(self, stream: Stream) -> None:
        address = urlsplit(stream.url)
        self.stream = stream
        self.host, self.port = _loopback(address.hostname or ""), address.port or 80
        self.requests = _requests(stream, address.path or "/", f"{address.hostname}:{self.port}")
        self.latencies: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.kept: deque[str] = deque(maxlen=MOST_KEPT)
        self.failed = 0
        self.sent = 0
        self.first = self.last = 0.0

    async def run(self) -> Result:
        start = time.perf_counter()
        self.counted_from = start + self.stream.warm_s
        self.until = self.counted_from + self.stream.seconds
        await asyncio.gather(*(self._worker(number, start) for number in range(self.stream.connections)))
        return self._result()

    async def _worker(self, number: int, start: float) -> None:
        stream, turn, connection = self.stream, number, None
        while True:
            now = time.perf_counter()
            due = now
            if stream.rate:
                due = start + turn / stream.rate
                if due > now:
                    await asyncio.sleep(due - now)
            if due >= self.until or (stream.count and self.sent >= stream.count) or self.sent >= MOST_REQUESTS:
                break
            turn += stream.connections
            request = self.requests[self.sent % len(self.requests)]
            self.sent += 1
            try:
                if connection is None or not connection.open:
                    connection = await self._connect()
                asked = time.perf_counter()
                status, body = await asyncio.wait_for(connection.ask(request), 30)
            except (OSError, TimeoutError):
                self.failed += 1
                connection = None
                continue
            self._count(due if stream.rate else asked, status, body)
        if connection is not None and connection.open:
            connection.close()

    async def _connect(self) -> _Connection:
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, self.host, self.port)
        return connection

    def _count(self, since: float, status: int, body: bytes) -> None:
        now = time.perf_counter()
        if since < self.counted_from:
            return
        self.first = self.first or since
        self.last = now
        self.latencies.append(now - since)
        self.statuses[str(status)] += 1
        if len(self.latencies) % KEEP_EVERY == 1:
            self.kept.append(body.decode("utf-8", "replace"))

    def _result(self) -> Result:
        ordered = sorted(self.latencies)
        seconds = max(self.last - self.first, 1e-9)

        def at(share: float) -> float:
            return round(1e3 * ordered[min(int(share * len(ordered)), len(ordered) - 1)], 3) if ordered else 0.0

        return Result(
            name=self.stream.name,
            requests=len(ordered),
            seconds=round(seconds, 3),
            per_second=round(len(ordered) / seconds, 1) if ordered else 0.0,
            p50_ms=at(0.50),
            p95_ms=at(0.95),
            p99_ms=at(0.99),
            max_ms=at(1.0),
            statuses=dict(self.statuses),
            failed=self.failed,
            kept=list(self.kept),
        )


def _loopback(host: str) -> str:
    """Return the address to connect to; this tool loads nobody else's machine. Raises ValueError."""
    name = "127.0.0.1" if host == "localhost" else host
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(name).is_loopback:
            return name
    raise ValueError(f"'{host}' is not on loopback; the load generator serves benchmarks on one machine only")


def _requests(stream: Stream, path: str, host: str) -> list[bytes]:
    bodies = Path(stream.bodies).read_bytes().splitlines() if stream.bodies else [b""]
    lines = [f"{stream.method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in stream.headers.items()]
    head = "\r\n".join(lines).encode()
    length = b"" if stream.method == "GET" else b"\r\nContent-Type: application/json\r\nContent-Length: %d"
    return [head + (length % len(body) if length else b"") + b"\r\n\r\n" + body for body in bodies]


async def _all(streams: Sequence[Stream]) -> list[Result]:
    for stream in streams:
        if stream.seconds + stream.warm_s > MOST_SECONDS:
            raise ValueError(f"a stream may last {MOST_SECONDS:.0f} s")
    return list(await asyncio.gather(*(_Runner(stream).run() for stream in streams)))


def main() -> None:
    """Run the streams that stdin describes."""
    streams = [Stream(**item) for item in json.load(sys.stdin)]
    try:
        import uvloop

        results = uvloop.run(_all(streams))
    except ImportError:
        results = asyncio.run(_all(streams))
    json.dump([asdict(result) for result in results], sys.stdout)


if __name__ == "__main__":
    main()
