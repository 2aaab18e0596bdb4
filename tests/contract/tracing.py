"""A Snowflake connection whose statements a test can observe, delay or interrupt."""

from __future__ import annotations


class Killed(BaseException):
    """Stands for the end of the process."""


class TracedConnection:
    """A connection that calls `before` and `after` with each statement, before it is sent and after it is done."""

    def __init__(self, connection, before=None, after=None):
        self.connection, self.before, self.after = connection, before, after

    def cursor(self):
        """Open a cursor that is traced."""
        return _Cursor(self, self.connection.cursor())

    def close(self):
        """Close the connection."""
        self.connection.close()


class _Cursor:
    def __init__(self, traced, cursor):
        self.traced, self.real = traced, cursor

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.real.close()

    def execute(self, statement, *values):
        if self.traced.before:
            self.traced.before(statement)
        self.real.execute(statement, *values)
        if self.traced.after:
            self.traced.after(statement)
        return self.real

    def fetchall(self):
        return self.real.fetchall()


def killed_at(connection, number):
    """Return a connection that is lost, and the process with it, before statement `number`, counted from 0."""
    sent = []

    def lose(statement):
        sent.append(statement)
        if len(sent) == number + 1:
            connection.close()
        if len(sent) > number:
            raise Killed

    return TracedConnection(connection, before=lose)
