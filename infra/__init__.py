"""What surrounds the functions: the local cloud and the tools for developers and operators."""
