"""gpw, the operator's command line: `gpw --help`."""
