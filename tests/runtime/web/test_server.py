"""The server's limits, at a server that runs in a process of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CHILD = Path(__file__).parent / "server_child.py"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Port and process of a server."""
    process = subprocess.Popen([sys.executable, str(CHILD), "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield int(process.stdout.readline().rpartition(":")[2]), process
    process.kill()
    process.wait()


def ask(port: int, request: bytes, seconds: float = 20) -> tuple[bytes, float]:
    """Send ``request``; return the first line of the answer, and the seconds it took."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(request)
        return connection.makefile("rb").readline(), time.monotonic() - began


GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


def test_large_heads_and_bodies_are_refused_unread(server: tuple[int, object]) -> None:
    """100 kB of headers are 431; a body of 200 MB, and one without a length that grows, are 413."""
    port, _ = server
    assert b" 431 " in ask(port, GET + b"X: " + b"a" * 100_000 + b"\r\n\r\n")[0]
    head = b"POST /take HTTP/1.1\r\nHost: localhost\r\n"
    line, seconds = ask(port, head + b"Content-Length: 200000000\r\n\r\n")
    assert b" 413 " in line
    assert seconds < 2
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + b"fff\r\n" + b"a" * 0xFFF + b"\r\n"
    assert b" 413 " in ask(port, chunked)[0]
    assert b" 200 " in ask(port, GET + b"\r\n")[0]


def test_a_head_that_fits_the_buffer_is_refused_in_words(server: tuple[int, object]) -> None:
    """Beyond 16 kB the guard answers, so that a browser with large cookies shows no empty page."""
    port, _ = server
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(GET + b"Connection: close\r\nCookie: a=" + b"a" * 20_000 + b"\r\n\r\n")
        answer = connection.makefile("rb").read()
    assert b" 431 " in answer.splitlines()[0]
    assert answer.endswith(b"\r\n\r\nThe head of the request is too large.\n")


def test_half_open_connections_do_not_hold_up_others(server: tuple[int, object]) -> None:
    """While connections send half a head, or nothing, others are answered; half heads end in time."""
    port, _ = server
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    for number, one in enumerate(slow):
        one.settimeout(20)
        if number % 2:
            one.sendall(GET)
    line, seconds = ask(port, GET + b"\r\n")
    assert b" 200 " in line
    assert seconds < 5
    began = time.monotonic()
    slow[1].recv(1000)  # an answer that the time is over, or the end
    assert time.monotonic() - began < 15
    for one in slow:
        one.close()


def test_a_taken_port_is_said(server: tuple[int, object]) -> None:
    """A second server on the port ends with an error that names it, and the first goes on."""
    port, _ = server
    command = [sys.executable, str(CHILD), str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"127.0.0.1:{port}: nothing can be served there (Address already in use)" in done.stderr
    assert "another program has this port" in done.stderr
    assert b" 200 " in ask(port, GET + b"\r\n")[0]


def test_the_end_waits_for_no_stream(server: tuple[int, subprocess.Popen[str]]) -> None:
    """After SIGTERM the process ends within five seconds with code 0, though a stream is read."""
    port, process = server
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.recv(100)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    assert time.monotonic() - began < 5
