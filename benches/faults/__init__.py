"""What faults cost the others: each one against a server while a second client measures. Run by ``make faults``."""
