"""Anomalies: customers whose days no longer look like their own."""
