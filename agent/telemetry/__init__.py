"""What will be remembered of what happened?

Three readers of the same facts: a log line, an audit record, a count.
"""
