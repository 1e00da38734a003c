"""A job's life: admission, submission, dispatch, completion, and sweep."""
