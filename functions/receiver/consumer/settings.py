"""ConsumerFunction's environment variables."""

from receiver.lambda_support.settings import Settings


class ConsumerSettings(Settings):
    """template.yaml sets each of them."""

    dead_letter_queue_url: str
    profiles_table_name: str
    events_table_name: str
    event_retention_days: int
