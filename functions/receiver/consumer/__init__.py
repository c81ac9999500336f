"""ConsumerFunction: from a batch of queued events to the profiles' state and the history."""
