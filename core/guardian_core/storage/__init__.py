"""The database: models, migrations, and the functions that run inside `Database.run`."""
