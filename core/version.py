"""The version of the program, a part of every run's identity: a change of what it computes needs a new one."""

__version__ = "0.3.0"
