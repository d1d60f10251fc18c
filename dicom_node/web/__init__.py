"""The node's web server: the only room that is asynchronous, and the only one that knows starlette and uvicorn."""
