# roleplay_chat runs as its own service account
if gcloud iam service-accounts describe roleplay-chat@tales-123456.iam.gserviceaccount.com --project=tales-123456 >/dev/null 2>&1; then
  true  # it exists
else
  gcloud iam service-accounts create roleplay-chat \
    --project=tales-123456
fi

# SUPABASE_SECRET_KEY is in Secret Manager
gcloud secrets describe supabase-secret-key \
    --project=tales-123456

# roleplay_chat may read this secret and no other
#   --member  the account that roleplay_chat runs as
#   --role    permits reading the value only
gcloud secrets add-iam-policy-binding supabase-secret-key \
    --project=tales-123456 \
    --member=serviceAccount:roleplay-chat@tales-123456.iam.gserviceaccount.com \
    --role=roles/secretmanager.secretAccessor

# OpenRouter_Roleplay_API_KEY is in Secret Manager
gcloud secrets describe openrouter-roleplay-api-key \
    --project=tales-123456

# roleplay_chat may read this secret and no other
#   --member  the account that roleplay_chat runs as
#   --role    permits reading the value only
gcloud secrets add-iam-policy-binding openrouter-roleplay-api-key \
    --project=tales-123456 \
    --member=serviceAccount:roleplay-chat@tales-123456.iam.gserviceaccount.com \
    --role=roles/secretmanager.secretAccessor

# CHAT_WORKER_API_KEY is in Secret Manager
gcloud secrets describe chat-worker-api-key \
    --project=tales-123456

# roleplay_chat may read this secret and no other
#   --member  the account that roleplay_chat runs as
#   --role    permits reading the value only
gcloud secrets add-iam-policy-binding chat-worker-api-key \
    --project=tales-123456 \
    --member=serviceAccount:roleplay-chat@tales-123456.iam.gserviceaccount.com \
    --role=roles/secretmanager.secretAccessor

# roleplay_chat, from its image: created, or replaced once the new revision is healthy
#   --region                 near the database: a turn calls it twice
#   --image                  built from the Dockerfile and pushed before
#   --port                   where the image listens
#   --startup-probe          answered by the server without calling the function
#   --no-cpu-throttling      keeps the processor running between requests: without it a turn whose client left may never be saved; billed by instance, not by request
#   --cpu-boost              more processor while an instance starts, which is mostly imports
#   --allow-unauthenticated  reachable by all; the function checks tokens itself and needs them unchanged
#   --service-account        can only read its secrets
#   --cpu                    asyncio uses one; with fewer there is no concurrency
#   --memory                 for imports and running turns
#   --concurrency            turns spend nearly all of their time waiting for models
#   --timeout                longer than a turn's lease (90 s: TURN_BUDGET_SECONDS and LEASE_MARGIN_SECONDS)
#   --min-instances          0: no cost without traffic, but the first turn waits for a cold start; 1: it does not
#   --max-instances          limits the cost
#   --set-env-vars           the settings that differ from their defaults
#   --set-secrets            read when an instance starts: deploy again after changing a key
gcloud run deploy roleplay-chat \
    --project=tales-123456 \
    --region=europe-west3 \
    --image=images.example/tales/roleplay/roleplay-chat:v1.0.0 \
    --port=8080 \
    --startup-probe=httpGet.path=/alive,httpGet.port=8080,periodSeconds=1,failureThreshold=60 \
    --no-cpu-throttling \
    --cpu-boost \
    --allow-unauthenticated \
    --service-account=roleplay-chat@tales-123456.iam.gserviceaccount.com \
    --cpu=1 \
    --memory=512Mi \
    --concurrency=80 \
    --timeout=120s \
    --min-instances=0 \
    --max-instances=20 \
    '--set-env-vars=^;^GOOGLE_CLOUD_PROJECT=tales-123456;SUPABASE_URL=https://abcdefghijklmnopqrst.supabase.co;CORS_ALLOW_ORIGINS=https://a.example,https://b.example;TURN_BUDGET_SECONDS=60' \
    --set-secrets=SUPABASE_SECRET_KEY=supabase-secret-key:latest,OpenRouter_Roleplay_API_KEY=openrouter-roleplay-api-key:latest,CHAT_WORKER_API_KEY=chat-worker-api-key:latest

# Nothing was run. `make deploy-roleplay_chat APPLY=1` runs these commands.
