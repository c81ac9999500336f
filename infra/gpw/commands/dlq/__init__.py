"""`gpw dlq`: list, show, redrive or delete dead letters."""
