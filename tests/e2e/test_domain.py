"""A domain name of one's own, in a local cloud for it alone: the shared stack has none."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from infra.local.cloud import LocalCloud
from infra.local.stack import ROUTE, Stack, client, deploy, headers_for
from tests.factories import make_event

NAME = "webhooks.example.com"


@pytest.fixture(scope="module")
def zone_and_stack(built: Path) -> Iterator[tuple[str, Stack]]:
    """A hosted zone for example.com, and the stack with a name in it and no certificate given."""
    with LocalCloud(port=0) as cloud:
        zone = client(cloud, "route53").create_hosted_zone(Name="example.com", CallerReference="1")
        zone_id = zone["HostedZone"]["Id"].rpartition("/")[2]
        yield (
            zone_id,
            deploy(cloud, built, DomainName=NAME, HostedZoneId=zone_id),
        )


def test_a_custom_domain_name_gets_a_certificate_a_record_and_the_api(
    zone_and_stack: tuple[str, Stack],
) -> None:
    zone_id, stack = zone_and_stack
    gateway = stack.client("apigatewayv2")

    [certificate] = stack.client("acm").list_certificates()["CertificateSummaryList"]
    [configured] = gateway.get_domain_name(DomainName=NAME)["DomainNameConfigurations"]
    [mapping] = gateway.get_api_mappings(DomainName=NAME)["Items"]
    records = stack.client("route53").list_resource_record_sets(HostedZoneId=zone_id)
    aliases = {
        record["Type"]: record["AliasTarget"]["DNSName"].rstrip(".")
        for record in records["ResourceRecordSets"]
        if record["Name"].rstrip(".") == NAME and "AliasTarget" in record
    }

    assert certificate["DomainName"] == NAME
    assert configured["CertificateArn"] == certificate["CertificateArn"]
    assert (mapping["ApiId"], mapping["Stage"]) == (stack.resources["HttpApi"], "$default")
    assert stack.outputs["DomainTarget"] == configured["ApiGatewayDomainName"]
    assert aliases == dict.fromkeys(["A", "AAAA"], stack.outputs["DomainTarget"])
    assert configured["IpAddressType"] == "dualstack"
    assert stack.outputs["WebhookUrl"] == f"https://{NAME}{ROUTE}"
    assert stack.resources["HttpApi"] in stack.outputs["GeneratedWebhookUrl"]


def test_a_webhook_to_that_name_is_accepted(zone_and_stack: tuple[str, Stack]) -> None:
    _, stack = zone_and_stack
    body = json.dumps(make_event("evt_1")).encode()

    answer = urllib3.request(
        "POST",
        f"{stack.cloud.endpoint}{ROUTE}",
        body=body,
        headers=headers_for(stack.secret) | {"host": NAME},
    )

    assert (answer.status, answer.data) == (200, b"OK")
