"""Checks workers, models and rows every minute. The path of a run:

app            checks the caller, runs all steps at once, responds with their outcomes
caller         authenticates the scheduler, by secret or service account
steps          runs each step on its own, within the run's time budget
workers        keeps each worker's health record from one probe to the next
records        stores these records, many with one call
registration   lets workers register themselves with keys of their own
probe          probes one worker
providers      OpenRouter's row, and requests to its account endpoints
keys           checks the limits and expiry of OpenRouter's key
catalog        compares the configured models with OpenRouter's catalog
approval       reports providers that wait for approval
housekeeping   closes abandoned turns, clears cooldowns, rolls up usage, deletes old rows
fetch          one bounded call to another server
settings       settings of the function
scheduler      calls health_check on hosts without a scheduler
"""
