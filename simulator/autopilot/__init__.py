"""An autopilot of its own process that speaks MAVLink 2 over UDP or TCP as ArduCopter does.

    python -m simulator.autopilot --port 5760 --home 120.70,28.00 --speedup 20

prints `ready PORT` on one line once it listens, and ends on SIGTERM.
"""
