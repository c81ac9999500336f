"""Live events: subscription, leases and forwarding."""
