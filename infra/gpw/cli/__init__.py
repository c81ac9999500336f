"""The terminal: the app, the table of commands, options, output and prompts."""
