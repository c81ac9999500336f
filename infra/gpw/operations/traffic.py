"""Plans made-up traffic: when each event is sent, and which ones are sent twice or late."""

import json
import random
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gpw.operations.proof.ledger import PlannedDelivery, delivery
from gpw.operations.sample import fresh

# Not `ready`, because that would fetch profiles from GetProfile and start the workflows of most
# rules. The last one is unknown, like a status that GetProfile may introduce one day.
STATUSES = ("processing", "summarizing", "gpw-load")
DUPLICATE_SECONDS = (0.0, 3.0)  # from the first delivery to the second one
LATE_SECONDS = (1.0, 5.0)  # how long a late delivery is held back, so that newer ones overtake it
WHO = re.compile(r"gpw-load-[0-9a-f]{8}-(\d{1,5})", re.ASCII)


@dataclass(frozen=True)
class Traffic:
    """What to send. rate: events per second; duplicates, disorder: shares of them, 0 to 1."""

    tenant: str
    rate: float
    seconds: float
    profiles: int
    duplicates: float = 0.0
    disorder: float = 0.0

    @property
    def events(self) -> int:
        return max(1, round(self.rate * self.seconds))

    @property
    def deliveries(self) -> int:
        """The expected number of requests."""
        return round(self.events * (1 + self.duplicates))


def tenant_name(random_hex: str, profiles: int) -> str:
    """The name of a run's own tenant; it contains the number of profiles."""
    return f"gpw-load-{random_hex}-{profiles}"


def profiles_of(tenant: str) -> list[str] | None:
    """The profiles of a run's tenant; None if the tenant is not of a run."""
    found = WHO.fullmatch(tenant)
    return [profile_name(number) for number in range(int(found[1]))] if found else None


def profile_name(number: int) -> str:
    return f"profile-{number}"


def plan(traffic: Traffic, start: datetime, rng: random.Random) -> list[PlannedDelivery]:
    """All deliveries, in the order in which they are due.

    An event's `created_at` is when it is first due, in whole seconds like GetProfile's. So several
    events of a profile may tie. A late event is delivered after newer ones.
    """
    deliveries = []
    for number in range(traffic.events):
        happened = number / traffic.rate
        late = rng.uniform(*LATE_SECONDS) if rng.random() < traffic.disorder else 0.0
        created_at = (start + timedelta(seconds=happened)).replace(microsecond=0)
        first = _delivery(traffic, number, created_at, happened + late, rng)
        deliveries.append(first)
        if rng.random() < traffic.duplicates:
            deliveries.append(replace(first, at=first.at + rng.uniform(*DUPLICATE_SECONDS)))
    return sorted(deliveries, key=lambda delivery: delivery.at)


def _delivery(
    traffic: Traffic, number: int, created_at: datetime, at: float, rng: random.Random
) -> PlannedDelivery:
    event_id = f"evt-{traffic.tenant}-{number}"
    profile = profile_name(rng.randrange(traffic.profiles))
    status = rng.choice(STATUSES)
    event = fresh(event_id, created_at, tenant=traffic.tenant, profile=profile, status=status)
    return delivery(json.dumps(event), at=at)
