"""`gpw ui` until its server runs: the port and the link."""

import os
import pty
import signal
import socket
import sys
import threading

import pytest
import uvicorn
from pytest_socket import enable_socket, socket_allow_hosts

from gpw.console.command import on_enter
from gpw.console.web import Console
from tests.functional.cloud import Cloud
from tests.functional.gpw_stack import OperatedStack


@pytest.fixture(autouse=True)
def own_machine(no_network: None) -> None:
    enable_socket()
    socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)


@pytest.fixture
def stack(cloud: Cloud) -> OperatedStack:
    return OperatedStack(cloud)


def test_the_link_can_be_opened_as_soon_as_it_is_printed(
    stack: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[int] = []

    def run(_server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        """Runs after the link was printed, and before any server could serve it."""
        for one in sockets:
            with socket.create_connection(one.getsockname()[:2], timeout=5):
                connected.append(one.getsockname()[1])

    monkeypatch.setattr(uvicorn.Server, "run", run)
    monkeypatch.setattr(Console, "start", lambda _console: None)
    monkeypatch.setattr(Console, "stop", lambda console: console.store.close())
    ran = stack.run("ui", "--json")

    assert set(connected) == {ran.document["port"]}


def test_a_port_that_another_program_uses_is_an_error_that_says_so(stack: OperatedStack) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ran = stack.run("ui", "--port", str(port), code=1)

    assert f"Port {port} can't be used" in ran.err
    assert "--port" in ran.err


def test_a_port_that_another_program_uses_at_the_other_loopback_address_is_refused(
    stack: OperatedStack,
) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]
        ran = stack.run("ui", "--port", str(port), code=1)

    assert f"Port {port} can't be used" in ran.err


def test_enter_in_the_terminal_prints_a_new_link(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, inner = pty.openpty()
    pressed = threading.Event()
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with os.fdopen(inner) as stdin, os.fdopen(terminal, "wb", buffering=0) as keyboard:
        monkeypatch.setattr(sys, "stdin", stdin)
        on_enter(pressed.set)
        keyboard.write(b"\n")

        assert pressed.wait(30)
