"""Findings become cases; cases are dispatched, verified, handled, rechecked and closed, by one table of lawful moves."""
