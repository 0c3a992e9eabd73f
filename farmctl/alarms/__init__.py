"""The shell around the core's alarms: the catalogue as data, and the desk that keeps the board from cycle to cycle."""
