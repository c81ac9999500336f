"""PublisherFunction: every event of the history onto the bus."""
