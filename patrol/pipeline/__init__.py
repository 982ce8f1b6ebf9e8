"""The use cases in the order a patrol lives them; the command line, the API and the tasks call these and nothing below."""
