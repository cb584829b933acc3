"""What the system tests stand on: Postgres, the server, and clients of our own."""
