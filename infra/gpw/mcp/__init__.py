"""The face for assistants: operations that only look, as an MCP server on this machine."""
