"""Everything that may cross the bus: frozen dataclasses, one file per owner, standard library only.

A service imports those that it speaks of; message.py finds the others when somebody mentions them.
"""
