"""Tests of what shows documents."""
