"""The archive of one or several gateways, in SQLite or in PostgreSQL; knows no node."""
