"""`gpw secret`: sets, rotates and checks the webhook secret or the API key; never shows it."""
