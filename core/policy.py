"""The policy: the one frozen document that configures a run.

`load_policy` reads it from YAML; unknown keys are refused with the nearest known one. `Policy.constraint_set` joins the
constraints of the document with those that its limits imply, so that there is one list of everything that limits weights.
"""
