"""Quality control with a control slide that is counted again and again."""
