"""HydratorFunction: full profiles from GetProfile's API, written beside the state."""
