"""Random examples: few enough for every day, and patient with a busy machine."""

from hypothesis import settings

settings.register_profile("patient", deadline=None, max_examples=40)
settings.load_profile("patient")
