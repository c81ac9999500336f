"""HydratorFunction's environment variables."""

from receiver.lambda_support.settings import Settings


class HydratorSettings(Settings):
    """template.yaml sets each of them."""

    dead_letter_queue_url: str
    events_queue_url: str
    hydration_queue_url: str
    profiles_table_name: str
    full_profiles_table_name: str = ""  # without HydrateProfiles
    sync_table_name: str
    profile_api_url: str
    profile_api_requests_per_second: int
    profile_api_secret_id: str
    sync_everything_days: int
    publish_backfill: str
