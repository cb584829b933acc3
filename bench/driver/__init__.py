"""What `bench/run.py` is made of: processes, scenarios and the table."""
