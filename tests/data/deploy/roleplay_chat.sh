# roleplay_chat runs as an account of its own
if gcloud iam service-accounts describe roleplay-chat@tales-123456.iam.gserviceaccount.com --project=tales-123456 >/dev/null 2>&1; then
  true  # it is there
else
  gcloud iam service-accounts create roleplay-chat \
    --project=tales-123456
fi

# SUPABASE_SECRET_KEY is in Secret Manager
gcloud secrets describe supabase-secret-key \
    --project=tales-123456

# roleplay_chat may read it, and no other
#   --member  the account that roleplay_chat runs as
#   --role    to read the value, and nothing else
gcloud secrets add-iam-policy-binding supabase-secret-key \
    --project=tales-123456 \
    --member=serviceAccount:roleplay-chat@tales-123456.iam.gserviceaccount.com \
    --role=roles/secretmanager.secretAccessor

# OpenRouter_Roleplay_API_KEY is in Secret Manager
gcloud secrets describe openrouter-roleplay-api-key \
    --project=tales-123456

# roleplay_chat may read it, and no other
#   --member  the account that roleplay_chat runs as
#   --role    to read the value, and nothing else
gcloud secrets add-iam-policy-binding openrouter-roleplay-api-key \
    --project=tales-123456 \
    --member=serviceAccount:roleplay-chat@tales-123456.iam.gserviceaccount.com \
    --role=roles/secretmanager.secretAccessor

# CHAT_WORKER_API_KEY is in Secret Manager
gcloud secrets describe chat-worker-api-key \
    --project=tales-123456

# roleplay_chat may read it, and no other
#   --member  the account that roleplay_chat runs as
#   --role    to read the value, and nothing else
gcloud secrets add-iam-policy-binding chat-worker-api-key \
    --project=tales-123456 \
    --member=serviceAccount:roleplay-chat@tales-123456.iam.gserviceaccount.com \
    --role=roles/secretmanager.secretAccessor

# roleplay_chat, from dist/roleplay_chat: created, or replaced when the new one is well
#   --region                 near the database: a turn calls it twice
#   --gen2                   on Cloud Run: concurrent requests, streaming, long timeouts
#   --runtime                a Python that the lock files cover
#   --source                 complete; `make build` makes it
#   --entry-point            the function in main.py
#   --trigger-http           called by HTTP
#   --allow-unauthenticated  everybody reaches it; it checks tokens itself, and needs them whole to do so
#   --run-service-account    no rights but its secrets
#   --cpu                    asyncio uses one; fewer would rule out concurrency
#   --memory                 the imports and the turns that are in progress
#   --concurrency            turns wait for models nearly all of their time
#   --timeout                longer than a turn's lease (90 s: TURN_BUDGET_SECONDS and LEASE_MARGIN_SECONDS)
#   --min-instances          0: nothing is paid while nobody talks, and the first turn waits for a start; 1: it does not
#   --max-instances          bounds what can be spent
#   --set-env-vars           the settings that differ from their defaults
#   --set-secrets            read when an instance starts: deploy again after a key was changed
gcloud functions deploy roleplay_chat \
    --project=tales-123456 \
    --region=europe-west3 \
    --gen2 \
    --runtime=python313 \
    --source=dist/roleplay_chat \
    --entry-point=roleplay_chat \
    --trigger-http \
    --allow-unauthenticated \
    --run-service-account=roleplay-chat@tales-123456.iam.gserviceaccount.com \
    --cpu=1 \
    --memory=512Mi \
    --concurrency=80 \
    --timeout=120s \
    --min-instances=0 \
    --max-instances=20 \
    '--set-env-vars=^;^FUNCTION_USE_ASGI=1;GOOGLE_CLOUD_PROJECT=tales-123456;SUPABASE_URL=https://abcdefghijklmnopqrst.supabase.co;CORS_ALLOW_ORIGINS=https://a.example,https://b.example;TURN_BUDGET_SECONDS=60' \
    --set-secrets=SUPABASE_SECRET_KEY=supabase-secret-key:latest,OpenRouter_Roleplay_API_KEY=openrouter-roleplay-api-key:latest,CHAT_WORKER_API_KEY=chat-worker-api-key:latest

# a turn goes on when its client has left
#   --no-cpu-throttling  processor time outside of requests too: without it a turn whose client left may never be saved; billed by instance, not by request
#   --cpu-boost          more processor while an instance starts, which is mostly imports
gcloud run services update roleplay-chat \
    --project=tales-123456 \
    --region=europe-west3 \
    --no-cpu-throttling \
    --cpu-boost

# Nothing was run. `make deploy-roleplay_chat APPLY=1` runs these commands.
