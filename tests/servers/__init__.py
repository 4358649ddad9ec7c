"""Servers for the tests, on this machine alone: they answer ranges, and fail as they are told to."""
