"""Tests that admins run from the console.

model_test       asks a model for one token
provider_models  reads which models a provider lists
prompt_preview   builds the prompt that a template makes
actions          the actions test_model, list_provider_models and preview_prompt; handlers
                 implements them
"""
