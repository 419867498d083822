"""The commands of `meshnode-sim`, one file each: arguments and screens, no rule of a simulation."""
