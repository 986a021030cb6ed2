"""Evenkeel's domain: from yesterday's positions and today's signals to today's target weights, and why."""

__version__ = "0.1.0"
