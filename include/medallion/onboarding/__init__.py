"""
A user's own table: `init` drafts its pipeline file, `plan` says what the next run would do. Both change nothing else.

- `inspect`: what the source's catalog and a sample of rows say of a table.
- `words`, `suggest`: what columns mean, by name and content; pure.
- `draft`: the pipeline file as text; pure.
- `init`, `command`: the commands of the shell.

May import every other package.
"""
