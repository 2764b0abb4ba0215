"""`python -m guardian_cli`: the same as `guardian`, for whoever starts it with a given Python."""

from guardian_cli.main import main

main()
