"""The local cloud's own promises: a port of its own, and nothing left behind."""

import re
import socket
import sys
from contextlib import ExitStack

import pytest
import urllib3

from gpw.operations.proof.ledger import Ledger
from gpw.stack.errors import OperatorError
from infra.local import cloud as local_cloud
from infra.local import demo
from infra.local.cloud import LocalCloud, LocalCloudError, PortTakenError, holder, listen
from infra.local.stack import Stack

LOOPBACK = ["127.0.0.1"]


def port_of(one: socket.socket) -> int:
    return int(one.getsockname()[1])


def test_two_that_start_at_the_same_time_never_share_a_port() -> None:
    with ExitStack() as closing:
        ports = [port_of(closing.enter_context(listen(LOOPBACK)[0])) for _ in range(3)]

    assert len(set(ports)) == 3


def test_a_port_that_was_asked_for_and_is_taken_is_an_error_that_says_so() -> None:
    with listen(LOOPBACK, 0)[0] as taken:
        port = port_of(taken)
        with pytest.raises(
            PortTakenError, match=re.escape(f"port {port} is taken by {holder(port)}")
        ):
            listen(LOOPBACK, port)


@pytest.mark.skipif(
    sys.platform != "linux", reason="macOS has only 127.0.0.1 on its loopback interface"
)
def test_several_addresses_get_the_same_port() -> None:
    with ExitStack() as closing:
        sockets = [closing.enter_context(one) for one in listen(["127.0.0.1", "127.0.0.2"], 0)]
        found = {(one.getsockname()[0], port_of(one)) for one in sockets}

    assert {address for address, _port in found} == {"127.0.0.1", "127.0.0.2"}
    assert len({port for _address, port in found}) == 1


def test_it_answers_while_the_block_lasts_and_then_leaves_nothing() -> None:
    with LocalCloud(port=0) as cloud:
        answer = urllib3.request("GET", f"{cloud.endpoint}/_ministack/health")
        directory = cloud.directory
        existed = directory.is_dir()

    assert (answer.status, existed, directory.exists()) == (200, True, False)
    with pytest.raises(urllib3.exceptions.HTTPError):
        urllib3.request("GET", f"{cloud.endpoint}/_ministack/health", retries=False)


def test_one_that_can_not_start_shows_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")

    with pytest.raises(LocalCloudError, match="MiniStack exited while it was starting"):
        LocalCloud(port=0).__enter__()


# ---------------------------------------------------------------- what the demo says of one


def test_the_demo_stops_at_the_first_request_whose_endpoint_does_not_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with listen(LOOPBACK, 0)[0] as closed:
        url = f"http://127.0.0.1:{port_of(closed)}/webhooks/getprofile"
    stack = Stack(LocalCloud(), secret="s", outputs={}, resources={}, url=url)

    with pytest.raises(OperatorError, match=f"{url} does not answer"):
        demo.send_requests(stack, Ledger("abc-tenant"))

    assert demo.DEMO_REQUESTS[0].title in capsys.readouterr().out
    stack.cloud.stop()


def test_the_demo_waits_no_longer_when_its_cloud_has_ended_or_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[int] = []

    def found() -> int:
        looked.append(cloud.port)
        return cloud.port

    with LocalCloud(port=0) as cloud, listen(LOOPBACK, 0)[0] as silent:
        stack = Stack(cloud, secret="s", outputs={}, resources={}, url="")
        port = demo.awaited(stack, found, "this")
        cloud.port = port_of(silent)
        monkeypatch.setattr(local_cloud, "ANSWER_SECONDS", 0.1)
        with pytest.raises(LocalCloudError, match=f"does not answer at http.*:{cloud.port}"):
            demo.awaited(stack, found, "this")
        cloud.port = port
    with pytest.raises(LocalCloudError, match="has ended"):
        demo.awaited(stack, found, "this")

    assert looked == [port]
