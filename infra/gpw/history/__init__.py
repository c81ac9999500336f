"""Events of the history: selecting, reading and writing them."""
