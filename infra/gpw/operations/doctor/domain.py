"""Whether the webhook's own name leads to this stack, and whether its certificate is valid."""

import ssl
from collections.abc import Iterator, Set
from datetime import UTC, datetime, timedelta

from gpw.operations.checks import Check
from gpw.stack import domain
from gpw.stack.target import Target
from gpw.stack.when import duration

RENEWED_BEFORE = timedelta(days=30)  # ACM renews 60 days before the expiry


def look(target: Target) -> Iterator[Check]:
    leads_to = target.outputs.get("DomainTarget")
    if target.local or not leads_to:
        return
    name = target.parameters["DomainName"]
    try:
        found, expected = domain.addresses(name), domain.addresses(leads_to)
    except OSError as error:
        yield Check("domain", None, f"no name server answered ({error.strerror})")
        return
    record = f"a CNAME record of {name}, or an alias, must lead to {leads_to}"
    yield leads_here(name, found, expected, record)
    if not found:
        return
    try:
        left = domain.certificate_expires_at(name) - datetime.now(UTC)
    except ssl.SSLCertVerificationError as error:
        text = f"is not valid for {name} ({error.verify_message})"
        yield Check("certificate", False, text, "see CertificateArn in docs/deploy.md")
    except OSError as error:
        text = f"can't be read: {name} does not answer ({type(error).__name__})"
        yield Check("certificate", False, text, record)
    else:
        yield lasts(left)


def leads_here(name: str, found: Set[str], expected: Set[str], record: str) -> Check:
    """Whether a name resolves to the stack's addresses. record: what must be in DNS."""
    if not found:
        return Check("domain", False, f"{name} does not resolve", record)
    here = bool(found & expected)
    elsewhere = "leads to other addresses: is it behind a proxy, or has DNS not changed yet?"
    return Check("domain", here or None, f"{name} {'leads here' if here else elsewhere}", record)


def lasts(left: timedelta) -> Check:
    """Whether a certificate is valid for long enough. left: until it expires."""
    well = left > RENEWED_BEFORE
    fix = "ACM could not renew it: is the record that validates the name still in DNS?"
    text = f"is valid for {duration(left.total_seconds())} more"
    return Check("certificate", well, text, "" if well else fix)
