"""The daemon's front door: HTTP and JSON on a Unix socket; `server` answers, `client` asks with nothing but stdlib."""
