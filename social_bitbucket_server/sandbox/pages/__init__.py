"""Pages that people see in a browser."""
