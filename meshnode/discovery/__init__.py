"""Finding peers: sightings from multicast and from places worth asking, all unauthenticated.

Who a peer is, and whether it is there, only a session can tell. Source: DESIGN D5.
"""
