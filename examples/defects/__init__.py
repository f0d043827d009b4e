"""A synthetic inspection task with known defects: rendered machined parts and a small classifier."""
