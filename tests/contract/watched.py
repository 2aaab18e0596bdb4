"""A Snowflake connection that lets a test see, delay or lose each statement."""

from __future__ import annotations


class Killed(BaseException):
    """The process is gone."""


class Watched:
    """A connection that lets `before` and `after` see each statement before it is sent and after it is done."""

    def __init__(self, connection, before=None, after=None):
        self.connection, self.before, self.after = connection, before, after

    def cursor(self):
        """Open a cursor that is watched."""
        return _Cursor(self, self.connection.cursor())

    def close(self):
        """Close the connection."""
        self.connection.close()


class _Cursor:
    def __init__(self, watched, cursor):
        self.watched, self.real = watched, cursor

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.real.close()

    def execute(self, statement, *values):
        if self.watched.before:
            self.watched.before(statement)
        self.real.execute(statement, *values)
        if self.watched.after:
            self.watched.after(statement)
        return self.real

    def fetchall(self):
        return self.real.fetchall()


def mortal(connection, number):
    """Watch a connection that is lost before statement `number`, counted from 0, and with it the process."""
    sent = []

    def lose(statement):
        sent.append(statement)
        if len(sent) == number + 1:
            connection.close()
        if len(sent) > number:
            raise Killed

    return Watched(connection, before=lose)
