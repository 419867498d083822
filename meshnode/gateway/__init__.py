"""The gateway of an operations centre: its archive, what is kept how long, and who may see it."""
