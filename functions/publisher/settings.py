"""PublisherFunction's environment variables."""

from runtime import Settings


class PublisherSettings(Settings):
    """See template.yaml for what sets each."""

    dead_letter_queue_url: str
    event_bus_name: str
