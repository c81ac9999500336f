"""Restricts source addresses and domain name, before the secret is checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Self

from ingest.request import Request


@dataclass(frozen=True)
class Entrance:
    """The networks that requests may come from, and the domain name that they must be sent to.

    networks: empty allows every source address. domain_name: empty allows every domain name.
    """

    networks: Sequence[IPv4Network | IPv6Network] = ()
    domain_name: str = ""

    @classmethod
    def of(cls, cidrs: str, domain_name: str) -> Self:
        """cidrs: separated by commas, such as `192.0.2.0/24,2001:db8::/32`. Raises: ValueError."""
        named = [one.strip() for one in cidrs.split(",") if one.strip()]
        return cls([ip_network(one, strict=False) for one in named], domain_name)

    def refusal(self, request: Request) -> str | None:
        """The short reason why a request is refused, or None."""
        if self.domain_name and request.domain_name.lower() != self.domain_name:
            return "generated_url"
        if self.networks and not self._knows(request.source_ip):
            return "source_address"
        return None

    def _knows(self, source_ip: str) -> bool:
        try:
            address = ip_address(source_ip)
        except ValueError:
            return False
        return any(address in network for network in self.networks)
