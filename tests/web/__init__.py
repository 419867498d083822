"""The screens in a real browser, against real nodes of processes of their own."""
