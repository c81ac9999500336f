"""No proxy stands before this machine, and gpw takes the SDK's proxy elsewhere."""

import pytest
import urllib3
from botocore.utils import get_environ_proxies

from gpw.stack.proxies import pool, spare_loopback

PROXY = "http://proxy.example:3128"
AWS = "https://sqs.eu-central-1.amazonaws.com/"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        for spelling in (name, name.lower()):
            # Set first, so that what the code sets is undone.
            monkeypatch.setenv(spelling, "")
            monkeypatch.delenv(spelling)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_no_proxy_stands_before_this_machine(
    monkeypatch: pytest.MonkeyPatch, variable: str, host: str
) -> None:
    monkeypatch.setenv(variable, PROXY)

    spare_loopback()

    assert get_environ_proxies(f"http://{host}:4566/") == {}


@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_hosts_that_had_no_proxy_keep_it(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv(variable, "internal.example, 10.0.0.1")

    spare_loopback()
    spare_loopback()

    assert get_environ_proxies("https://internal.example/") == {}
    assert get_environ_proxies("https://10.0.0.1/") == {}
    assert get_environ_proxies(AWS)["https"] == PROXY


def test_no_proxy_at_all_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", "*")

    spare_loopback()

    assert get_environ_proxies(AWS) == {}


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_requests_to_the_webhook_take_the_proxy_that_the_sdk_takes(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "http://me:word@proxy.example:3128")

    found = pool("https://a1b2.execute-api.eu-central-1.amazonaws.com/webhooks/getprofile")

    assert isinstance(found, urllib3.ProxyManager)
    assert (found.proxy and found.proxy.host) == "proxy.example"
    assert found.proxy_headers["Proxy-Authorization"].startswith("Basic ")


def test_requests_to_a_host_without_a_proxy_go_there_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", "webhooks.example.com")

    assert not isinstance(pool("https://webhooks.example.com/"), urllib3.ProxyManager)
