"""Pure judgement on arrays: consolidation, skill, agreement, doubt, order, gates. No store, no platform, no clock."""
