"""Site power in: Modbus meters, their registers as data, and how far a value can be trusted."""
