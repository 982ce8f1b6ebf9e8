"""From an area to a mission that a vehicle has truly flown: lines, sorties, calendar, formats, links, logs."""
