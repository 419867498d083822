"""Tests of the commands of `meshnode-sim`."""
