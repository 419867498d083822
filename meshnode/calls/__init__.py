"""What people and programs may ask of a node, in plain values: one mixin of `Api` for each matter.

`base` has what they share. Nothing here holds state.
"""
