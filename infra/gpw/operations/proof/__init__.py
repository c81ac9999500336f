"""Proves that nothing was lost: a ledger of what was sent, compared with what arrived."""
