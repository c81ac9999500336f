"""What an assistant can ask for: each public method is a tool, and its docstring is its help."""
