"""`make bench`: measures speed, size and log volume of the functions against a baseline each.

The baseline, called the floor, is the least that the same work costs with the AWS SDK alone.
"""
