"""An answer form, two metrics and a backend, offered to medinst-eval by entry points."""
