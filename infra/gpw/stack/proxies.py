"""Which proxy a request takes: the SDK's own rule, and none before this machine."""

import os
from collections.abc import MutableMapping
from typing import Any

import urllib3
from botocore.httpsession import ProxyConfiguration
from botocore.utils import get_environ_proxies

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


def spare_loopback(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let no proxy stand before this machine's own addresses, for this process and its children.

    Without it, whatever HTTP_PROXY names would get the requests to the local cloud.
    """
    named = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if named.strip() == "*":
        return
    hosts = [host.strip() for host in named.split(",") if host.strip()]
    merged = ",".join([*hosts, *(host for host in LOOPBACK if host not in hosts)])
    # Programs differ in which spelling they read first.
    environment["no_proxy"] = environment["NO_PROXY"] = merged


def pool(url: str, **settings: Any) -> urllib3.PoolManager:
    """Connections to the host of a URL, through the proxy that the SDK would take there."""
    proxies = ProxyConfiguration(get_environ_proxies(url))
    proxy = proxies.proxy_url_for(url)
    if proxy is None:
        return urllib3.PoolManager(**settings)
    headers = proxies.proxy_headers_for(proxy)
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **settings)
