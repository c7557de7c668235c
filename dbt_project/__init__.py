"""The dbt project: every join and all history, and the feature library that writes its feature models."""
