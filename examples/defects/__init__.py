"""A made-up inspection task with known answers: machined parts, their defects, and a small classifier."""
