"""One folder for every directive of the Corefile; imported as ``pydnsk8s.plugins``."""

if __name__ != "pydnsk8s.plugins":
    # The folder stands at the top level too; under two names a plugin's class would exist twice.
    raise ImportError("import pydnsk8s.plugins, not plugins")
