"""What an operator can do, for every face: no terminal, no browser."""
