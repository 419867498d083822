"""Links on which every byte counts: frames over a line or a radio, and what is sent in them."""
