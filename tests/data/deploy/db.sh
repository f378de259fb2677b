# what would be applied
#   --remote        the project of SUPABASE_URL; the CLI signs in with SUPABASE_ACCESS_TOKEN or `npx supabase login`
#   --include-seed  provider, models and templates of a new installation; rows that are there stay as they are
#   --dry-run       only says which migrations are missing
DATABASE_PORT=54321 DATABASE_DIR=.local/database npx --yes supabase@3 db push \
    --remote=abcdefghijklmnopqrst \
    --include-seed \
    --dry-run

# the migrations that the database lacks, in order
#   --yes  asks nothing
DATABASE_PORT=54321 DATABASE_DIR=.local/database npx --yes supabase@3 db push \
    --remote=abcdefghijklmnopqrst \
    --include-seed \
    --yes

# Nothing was run. `make deploy-db APPLY=1` runs these commands.
