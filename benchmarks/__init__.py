"""Products of agents, instances and seeds: what the published figures come from. Not shipped in the wheel."""
