"""A seeded company with a known truth, served as real systems, for tests, benchmarks and demonstrations only."""
