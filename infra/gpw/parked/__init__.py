"""Dead letters and held deliveries."""
