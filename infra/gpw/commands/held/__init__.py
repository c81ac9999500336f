"""`gpw held`: list, release or delete the deliveries that carried an unknown secret."""
