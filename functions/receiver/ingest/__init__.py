"""IngestFunction: from an HTTP request to a queued event."""
