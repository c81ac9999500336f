"""What every function needs from Lambda: settings, log with metrics, deadline, batches."""
