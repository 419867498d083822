"""Campaigns, on a small trace of their own and with a stand-in for the simulator."""
