# preview: what would be applied
#   --remote        the project of SUPABASE_URL; the CLI signs in with SUPABASE_ACCESS_TOKEN or `npx supabase login`
#   --include-seed  provider, models and templates of a new installation; existing rows stay unchanged
#   --dry-run       only lists the missing migrations
DATABASE_PORT=54321 DATABASE_DIR=.local/database npx --yes supabase@3 db push \
    --remote=abcdefghijklmnopqrst \
    --include-seed \
    --dry-run

# applies the missing migrations, in order
#   --yes  does not ask for confirmation
DATABASE_PORT=54321 DATABASE_DIR=.local/database npx --yes supabase@3 db push \
    --remote=abcdefghijklmnopqrst \
    --include-seed \
    --yes

# Nothing was run. `make deploy-db APPLY=1` runs these commands.
