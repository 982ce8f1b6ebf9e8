"""Adapters of VehicleLink: the one door to MAVLink on this side of the wire."""
