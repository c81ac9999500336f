"""ConsumerFunction's environment variables."""

from runtime import Settings


class ConsumerSettings(Settings):
    """See template.yaml for what sets each."""

    dead_letter_queue_url: str
    profiles_table_name: str
    events_table_name: str
    event_retention_days: int
