"""Memory on disk behind `farmctl.ports.store.Store`: `sqlite` keeps it, `memory` is its twin, `journal` chains it."""
