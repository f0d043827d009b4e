"""Models as other people's tools write them: one file for each producer, a runner, and the table of docs/models.md.

The files that make models import the producers' packages, some of them copyleft, and run in ``.venv-models``;
what exports and measures runs in the project's own environment. The two exchange files only.
"""
