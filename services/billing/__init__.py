"""Money: estimates, the ledger of reserved and settled charges, and the figures of the Costs page."""
