"""The domain: event, event types, version, outcome, credential, JSON; no AWS in it."""
