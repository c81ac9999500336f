"""PublisherFunction's environment variables."""

from receiver.lambda_support.settings import Settings


class PublisherSettings(Settings):
    """template.yaml sets each of them."""

    dead_letter_queue_url: str
    event_bus_name: str
