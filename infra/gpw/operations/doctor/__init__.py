"""The checks of `gpw doctor`: a module per subject, which `checkup.py` lists.

In each, `look` reads from the stack, and the other functions judge what was read, without AWS.
"""
