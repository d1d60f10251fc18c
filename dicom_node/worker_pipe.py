"""What a node and its worker process say to each other over their pipe; no job and no result goes over it."""

#: The process: its models are ready.
READY = b"r"
#: The process: no job is left that it knows of.
NONE_LEFT = b"."
#: The node: look for jobs.
LOOK = b"."
