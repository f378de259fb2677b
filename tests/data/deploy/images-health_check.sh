# health_check runs as its own service account
if gcloud iam service-accounts describe health-check@tales-123456.iam.gserviceaccount.com --project=tales-123456 >/dev/null 2>&1; then
  true  # it exists
else
  gcloud iam service-accounts create health-check \
    --project=tales-123456
fi

# SUPABASE_SECRET_KEY is in Secret Manager
gcloud secrets describe supabase-secret-key \
    --project=tales-123456

# health_check may read this secret and no other
#   --member  the account that health_check runs as
#   --role    permits reading the value only
gcloud secrets add-iam-policy-binding supabase-secret-key \
    --project=tales-123456 \
    --member=serviceAccount:health-check@tales-123456.iam.gserviceaccount.com \
    --role=roles/secretmanager.secretAccessor

# OpenRouter_Roleplay_API_KEY is in Secret Manager
gcloud secrets describe openrouter-roleplay-api-key \
    --project=tales-123456

# health_check may read this secret and no other
#   --member  the account that health_check runs as
#   --role    permits reading the value only
gcloud secrets add-iam-policy-binding openrouter-roleplay-api-key \
    --project=tales-123456 \
    --member=serviceAccount:health-check@tales-123456.iam.gserviceaccount.com \
    --role=roles/secretmanager.secretAccessor

# CHAT_WORKER_API_KEY is in Secret Manager
gcloud secrets describe chat-worker-api-key \
    --project=tales-123456

# health_check may read this secret and no other
#   --member  the account that health_check runs as
#   --role    permits reading the value only
gcloud secrets add-iam-policy-binding chat-worker-api-key \
    --project=tales-123456 \
    --member=serviceAccount:health-check@tales-123456.iam.gserviceaccount.com \
    --role=roles/secretmanager.secretAccessor

# health_check, from its image: created, or replaced once the new revision is healthy
#   --region                 near the database: a turn calls it twice
#   --image                  built from the Dockerfile and pushed before
#   --port                   where the image listens
#   --startup-probe          answered by the server without calling the function
#   --allow-unauthenticated  reachable by all; the function checks tokens itself and needs them unchanged
#   --service-account        can only read its secrets
#   --cpu                    asyncio uses one; with fewer there is no concurrency
#   --memory                 for imports
#   --concurrency            one run per minute, and unauthorised callers
#   --timeout                then the next run starts
#   --min-instances          a cold start is fast enough, and one run a minute keeps it warm
#   --max-instances          one run at a time
#   --set-env-vars           the settings that differ from their defaults
#   --set-secrets            read when an instance starts: deploy again after changing a key
gcloud run deploy health-check \
    --project=tales-123456 \
    --region=europe-west3 \
    --image=images.example/tales/roleplay/health-check:v1.0.0 \
    --port=8080 \
    --startup-probe=httpGet.path=/alive,httpGet.port=8080,periodSeconds=1,failureThreshold=60 \
    --allow-unauthenticated \
    --service-account=health-check@tales-123456.iam.gserviceaccount.com \
    --cpu=1 \
    --memory=512Mi \
    --concurrency=10 \
    --timeout=60s \
    --min-instances=0 \
    --max-instances=1 \
    --set-env-vars=GOOGLE_CLOUD_PROJECT=tales-123456,SUPABASE_URL=https://abcdefghijklmnopqrst.supabase.co,HEALTH_CHECK_OIDC_AUDIENCE=https://health-check-123456789012.europe-west3.run.app,HEALTH_CHECK_OIDC_EMAIL=health-check-scheduler@tales-123456.iam.gserviceaccount.com \
    --set-secrets=SUPABASE_SECRET_KEY=supabase-secret-key:latest,OpenRouter_Roleplay_API_KEY=openrouter-roleplay-api-key:latest,CHAT_WORKER_API_KEY=chat-worker-api-key:latest

# Nothing was run. `make deploy-health_check APPLY=1` runs these commands.
