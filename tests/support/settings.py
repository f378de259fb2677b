"""The settings that a function needs."""

from __future__ import annotations

NEEDED = {
    "SUPABASE_URL": "https://abc.supabase.co",
    "SUPABASE_SECRET_KEY": "sb_secret_canary",
    "HEALTH_CHECK_SECRET": "canary-canary-canary",
}
