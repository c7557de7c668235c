"""The parameter files, one per industry, and the types they are read into."""

from simulator.parameters.schema import INDUSTRIES, Parameters, People, load_parameters, load_people

__all__ = ["INDUSTRIES", "Parameters", "People", "load_parameters", "load_people"]
