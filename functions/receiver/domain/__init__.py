"""The domain: events, their order and their outcome. Standard library and pydantic only, no AWS."""
