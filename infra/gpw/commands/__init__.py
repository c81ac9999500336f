"""One thin function for each command: arguments in, one call, result out."""
