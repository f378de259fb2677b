# the scheduler has its own service account
if gcloud iam service-accounts describe health-check-scheduler@tales-123456.iam.gserviceaccount.com --project=tales-123456 >/dev/null 2>&1; then
  true  # it exists
else
  gcloud iam service-accounts create health-check-scheduler \
    --project=tales-123456
fi

# the job: created, or updated to these values
#   --location                    the region of the function
#   --schedule                    every minute; a health record is valid for two
#   --time-zone                   daylight saving time skips no minute
#   --uri                         health_check
#   --http-method                 the same as a manual call
#   --oidc-service-account-email  sends an ID token of this account; health_check expects it in HEALTH_CHECK_OIDC_EMAIL
#   --oidc-token-audience         the token is valid for this address only; HEALTH_CHECK_OIDC_AUDIENCE must be the same
#   --attempt-deadline            gives up before the next run
#   --max-retry-attempts          the next minute is the retry
if gcloud scheduler jobs describe health-check --project=tales-123456 --location=europe-west3 >/dev/null 2>&1; then
  gcloud scheduler jobs update http health-check \
    --project=tales-123456 \
    --location=europe-west3 \
    '--schedule=* * * * *' \
    --time-zone=Etc/UTC \
    --uri=https://health-check-123456789012.europe-west3.run.app \
    --http-method=post \
    --oidc-service-account-email=health-check-scheduler@tales-123456.iam.gserviceaccount.com \
    --oidc-token-audience=https://health-check-123456789012.europe-west3.run.app \
    --attempt-deadline=55s \
    --max-retry-attempts=0
else
  gcloud scheduler jobs create http health-check \
    --project=tales-123456 \
    --location=europe-west3 \
    '--schedule=* * * * *' \
    --time-zone=Etc/UTC \
    --uri=https://health-check-123456789012.europe-west3.run.app \
    --http-method=post \
    --oidc-service-account-email=health-check-scheduler@tales-123456.iam.gserviceaccount.com \
    --oidc-token-audience=https://health-check-123456789012.europe-west3.run.app \
    --attempt-deadline=55s \
    --max-retry-attempts=0
fi

# one run now instead of in the next minute
gcloud scheduler jobs run health-check \
    --project=tales-123456 \
    --location=europe-west3

# Nothing was run. `make deploy-scheduler APPLY=1` runs these commands.
