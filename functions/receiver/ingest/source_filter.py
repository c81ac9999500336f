"""Restricts source addresses and domain name, before the secret is checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Self

from receiver.ingest import response
from receiver.ingest.request import Request
from receiver.ingest.response import Response


@dataclass(frozen=True)
class SourceFilter:
    """The networks that requests may come from, and the domain name that they must be sent to.

    restricted: whether only `networks` may send; if there are none, nobody may. domain_name: empty
    allows every domain name. invalid: entries that are not networks, for the log.
    """

    networks: Sequence[IPv4Network | IPv6Network] = ()
    restricted: bool = False
    domain_name: str = ""
    invalid: Sequence[str] = ()

    @classmethod
    def of(cls, cidrs: str, domain_name: str) -> Self:
        """cidrs: separated by commas, such as `192.0.2.0/24,2001:db8::/32`.

        An entry that is not a network allows nobody, and the others stay in force. The template's
        pattern refuses such an entry, but an environment variable can also be edited by hand.
        """
        networks: list[IPv4Network | IPv6Network] = []
        invalid: list[str] = []
        named = [cidr.strip() for cidr in cidrs.split(",") if cidr.strip()]
        for cidr in named:
            try:
                networks.append(ip_network(cidr, strict=False))
            except ValueError:
                invalid.append(cidr)
        return cls(networks, bool(named), domain_name, invalid)

    def refusal(self, request: Request) -> Response | None:
        """The response to a request that is refused, or None."""
        if self.domain_name and request.domain_name.lower() != self.domain_name:
            return response.forbidden("generated_url")
        if self.restricted and not self.networks:
            # Nobody can tell whether the sender is allowed. 403 would be final, so this is 503.
            return response.unavailable("no_valid_network", "AllowedSourceCidrs names no network")
        if self.restricted and not self._knows(request.source_ip):
            return response.forbidden("source_address")
        return None

    def _knows(self, source_ip: str) -> bool:
        try:
            address = ip_address(source_ip)
        except ValueError:
            return False
        # An IPv4 address as IPv6 writes it, `::ffff:192.0.2.1`, is the same host. AWS does not say
        # how an API that also answers over IPv6 writes it.
        addresses = (address, getattr(address, "ipv4_mapped", None) or address)
        return any(one in network for one in addresses for network in self.networks)
