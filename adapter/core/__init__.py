"""Pure judgement on arrays: consolidation, skill, agreement, doubt, order, gates. Knows no store, no platform, no clock."""
