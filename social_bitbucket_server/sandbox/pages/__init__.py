"""Pages that people see in a browser: for their own account, for application links, and for faults."""
