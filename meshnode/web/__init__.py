"""The node over HTTP: screens, and an interface for programs, on the calls of `meshnode.api`.

Nothing outside this room imports FastAPI or hypercorn, and nothing here decides what a node does:
a route names its least role and hands plain values on. Source: DESIGN D9, decisions 51 and 52.
"""
