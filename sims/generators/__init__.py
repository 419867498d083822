"""Regions that are made up from a few figures and a seed: mountains, boats, a city, a disaster."""
