"""The abstract simulator: contacts, buffers and policies as arrays, no bytes of a bundle."""
