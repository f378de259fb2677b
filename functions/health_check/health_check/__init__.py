"""Looks after workers, models and rows, every minute. The path of a run:

app            the caller is checked, all steps run at once, their outcomes are the response
caller         who may run it: whoever has the secret, or the scheduler's service account
steps          each step on its own, within the run's time
workers        how each worker is, from one probe to the next
probe          asks one worker how it is
providers      OpenRouter's row, and how it is asked about itself
keys           what is left on OpenRouter's key, and until when it is valid
catalog        whether the configured models are what OpenRouter's catalog says
approval       whether a provider waits for approval
housekeeping   abandoned turns, cooldowns, usage to sum up, old rows to delete
fetch          one bounded call to somebody else's server
settings       settings of the function
"""
