"""`make bench`: how fast, how small and how talkative the functions are, beside a floor each."""
