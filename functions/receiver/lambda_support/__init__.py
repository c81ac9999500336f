"""What every function needs from Lambda: settings, log and metrics, deadline, batches."""
