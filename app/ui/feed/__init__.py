"""The jobs of the Create page: cards, drafts, and how often they are polled."""
