"""The transport: what it repeats, what it never repeats, how it keeps its token, and what it says when it gives up."""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from adapter.errors import PlatformError, PlatformNotFound, PlatformRefused, PlatformRejected, PlatformUnreachable
from adapter.label_studio.client import PAUSES_S, Client, server_time

URL = "http://studio.test"
LEGACY = "0123456789abcdef0123456789abcdef01234567"

Answer = httpx.Response | Exception


def jwt(kind: str, number: int = 0, lifetime: float = 300.0) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'x'})}.{part({'token_type': kind, 'iat': 1e9, 'exp': 1e9 + lifetime, 'n': number})}.sign"


class Server:
    """Answers from a list, the last one for ever; keeps what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []
        self.slept: list[float] = []
        self.now = 0.0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, token: str = LEGACY, url: str = URL) -> Client:
        return Client(url, token, transport=httpx.MockTransport(self), sleep=self.slept.append, clock=lambda: self.now)


def ok(body: Any = None, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json={"fine": True} if body is None else body)


class Exchange:
    """A server with personal access tokens: hands out numbered access tokens, accepts only those it knows."""

    def __init__(self, lifetime: float = 300.0) -> None:
        self.refresh = jwt("refresh")
        self.lifetime = lifetime
        self.made = 0
        self.valid: set[str] = set()
        self.now = 0.0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/token/refresh/":
            if json.loads(request.content)["refresh"] != self.refresh:
                return httpx.Response(401, json={"detail": "Token is invalid", "code": "token_not_valid"})
            self.made += 1
            access = jwt("access", self.made, self.lifetime)
            self.valid.add(access)
            return httpx.Response(200, json={"access": access})
        kind, _, token = request.headers["Authorization"].partition(" ")
        return ok() if kind == "Bearer" and token in self.valid else httpx.Response(401, json={"detail": "expired"})

    def client(self) -> Client:
        return Client(URL, self.refresh, transport=httpx.MockTransport(self), sleep=[].append, clock=lambda: self.now)


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, PlatformRejected),
            (401, PlatformRefused),
            (403, PlatformRefused),
            (404, PlatformNotFound),
            (409, PlatformRejected),
            (413, PlatformRejected),
            (429, PlatformUnreachable),
            (500, PlatformUnreachable),
            (502, PlatformUnreachable),
            (504, PlatformUnreachable),
        ],
    )
    def test_each_status_has_its_error(self, status: int, kind: type[PlatformError]) -> None:
        server = Server(httpx.Response(status, json={"detail": "the reason", "validation_errors": {"title": ["long"]}}))
        with pytest.raises(kind) as caught:
            server.client().get("/api/x")
        assert "the reason" in str(caught.value)
        assert "long" in str(caught.value)
        assert f"GET {URL}/api/x" in str(caught.value)

    def test_a_page_instead_of_json_is_named(self) -> None:
        with pytest.raises(PlatformUnreachable, match="not JSON"):
            Server(httpx.Response(200, text="<html>Welcome to nginx</html>")).client().get("/api/x")

    def test_a_long_reason_is_cut(self) -> None:
        with pytest.raises(PlatformRejected) as caught:
            Server(httpx.Response(400, json={"detail": "x" * 100_000})).client().get("/api/x")
        assert len(str(caught.value)) < 1000

    def test_redirects_are_not_followed_and_the_token_stays(self) -> None:
        server = Server(httpx.Response(302, headers={"location": "https://evil.test/steal?x=1"}))
        with pytest.raises(PlatformUnreachable, match=r"https://evil\.test"):
            server.client().get("/api/x")
        assert [request.url.host for request in server.asked] == ["studio.test"]

    @pytest.mark.parametrize("url", ["studio.test:8080", "ftp://studio.test", "", "http://"])
    def test_an_address_without_http_is_refused(self, url: str) -> None:
        with pytest.raises(PlatformUnreachable, match="no http address"):
            Server(ok()).client(url=url)

    def test_a_path_before_the_api_is_kept(self) -> None:
        server = Server(ok())
        server.client(url="https://studio.test/labels/").get("/api/x")
        assert str(server.asked[0].url) == "https://studio.test/labels/api/x"


class TestRetries:
    @pytest.mark.parametrize(
        "trouble",
        [
            httpx.ConnectError("refused"),
            httpx.ReadTimeout("slow"),
            httpx.RemoteProtocolError("cut"),
            httpx.Response(502),
            httpx.Response(503),
            httpx.Response(504),
        ],
        ids=["refused", "timeout", "cut", "502", "503", "504"],
    )
    @pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
    def test_what_may_be_repeated_is(self, method: str, trouble: Answer) -> None:
        server = Server(trouble, trouble, ok())
        server.client().request(method, "/api/x")
        assert len(server.asked) == 3
        assert server.slept == list(PAUSES_S[:2])

    @pytest.mark.parametrize(
        "trouble", [httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("cut"), httpx.Response(502)]
    )
    def test_a_post_that_may_have_landed_is_not_repeated(self, trouble: Answer) -> None:
        server = Server(trouble, ok())
        with pytest.raises(PlatformUnreachable):
            server.client().post("/api/x", {})
        assert len(server.asked) == 1

    def test_a_post_that_surely_did_not_arrive_is_repeated(self) -> None:
        server = Server(httpx.ConnectError("refused"), ok())
        assert server.client().post("/api/x", {}) == {"fine": True}

    def test_it_gives_up_with_advice(self) -> None:
        server = Server(httpx.ConnectError("refused"))
        with pytest.raises(PlatformUnreachable, match=r"cannot be reached.*label_studio\.url"):
            server.client().get("/api/x")
        assert len(server.asked) == len(PAUSES_S) + 1

    def test_it_waits_as_long_as_it_is_told(self) -> None:
        server = Server(httpx.Response(429, headers={"retry-after": "3"}), ok())
        server.client().post("/api/x", {})
        assert server.slept == [3.0]

    def test_deleting_what_is_gone_is_no_error(self) -> None:
        assert Server(httpx.Response(204)).client().delete("/api/x") is True
        assert Server(httpx.Response(404, json={"detail": "gone"})).client().delete("/api/x") is False


class TestTokens:
    def test_a_legacy_token_is_sent_as_it_is(self) -> None:
        server = Server(ok())
        server.client(f" {LEGACY}\n").get("/api/x")
        assert server.asked[0].headers["Authorization"] == f"Token {LEGACY}"

    def test_a_personal_token_is_exchanged_once(self) -> None:
        exchange = Exchange()
        client = exchange.client()
        for _ in range(3):
            assert client.get("/api/x") == {"fine": True}
        assert exchange.made == 1

    @pytest.mark.parametrize("lifetime", [300.0, 60.0])
    def test_it_is_renewed_ahead_of_its_end(self, lifetime: float) -> None:
        exchange = Exchange(lifetime)
        client = exchange.client()
        client.get("/api/x")
        exchange.now = 0.7 * lifetime
        client.get("/api/x")
        assert exchange.made == 1
        exchange.now = 0.85 * lifetime
        client.get("/api/x")
        assert exchange.made == 2

    def test_a_refused_access_token_is_renewed_and_the_request_repeated(self) -> None:
        exchange = Exchange()
        client = exchange.client()
        client.get("/api/x")
        exchange.valid.clear()  # the server was started anew with another key
        assert client.post("/api/x", {}) == {"fine": True}
        assert exchange.made == 2

    def test_a_token_that_stays_refused_ends(self) -> None:
        server = Server(ok({"access": jwt("access", 1)}), httpx.Response(401), ok({"access": jwt("access", 2)}))
        server.answers.append(httpx.Response(401, json={"detail": "still no"}))
        with pytest.raises(PlatformRefused, match="still no"):
            server.client(jwt("refresh")).get("/api/x")
        assert [request.url.path for request in server.asked].count("/api/x") == 2

    def test_a_revoked_personal_token_says_what_to_do(self) -> None:
        exchange = Exchange()
        client = exchange.client()
        exchange.refresh = "another"
        with pytest.raises(PlatformRefused, match="HITL_LABEL_STUDIO_TOKEN"):
            client.get("/api/x")

    def test_threads_share_one_exchange(self) -> None:
        exchange = Exchange()
        client = exchange.client()
        gate = threading.Barrier(8)

        def ask() -> None:
            gate.wait()
            client.get("/api/x")

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert exchange.made == 1

    @pytest.mark.parametrize("token", [LEGACY, jwt("refresh")])
    def test_no_secret_shows_anywhere(self, token: str, caplog: pytest.LogCaptureFixture) -> None:
        access = jwt("access")

        def echo(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/api/token/refresh/":
                return httpx.Response(200, json={"access": access})
            return httpx.Response(400, json={"detail": f"bad header {request.headers['Authorization']}"})

        client = Client(URL, token, transport=httpx.MockTransport(echo))
        caplog.set_level(logging.DEBUG)
        with pytest.raises(PlatformRejected) as caught:
            client.get("/api/x")
        shown = f"{caught.value}{caught.value!r}{client!r}{vars(client)!r}{caplog.text}"
        assert token not in shown
        assert access not in shown


def test_the_servers_clock_is_read_from_its_date() -> None:
    assert server_time(httpx.Response(200, headers={"date": "Thu, 01 Jan 1970 00:01:00 GMT"})) == 60.0
    read: Callable[[str], float | None] = lambda text: server_time(httpx.Response(200, headers={"date": text}))  # noqa: E731
    assert read("yesterday") is None
    assert server_time(httpx.Response(200)) is None
