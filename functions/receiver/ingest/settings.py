"""IngestFunction's environment variables."""

from receiver.lambda_support.settings import Settings


class IngestSettings(Settings):
    """template.yaml sets each of them."""

    events_queue_url: str
    dead_letter_queue_url: str
    held_queue_url: str
    held_deliveries_per_minute: int
    webhook_secret_id: str
    max_body_bytes: int
    secret_cache_seconds: int
    previous_secret_grace_hours: int
    allowed_source_cidrs: str
    only_domain_name: str
