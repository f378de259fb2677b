"""`make bench`: measures what a turn costs, compared with other gateways."""
