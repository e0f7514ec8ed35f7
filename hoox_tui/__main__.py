"""python -m hoox_tui: the same as hoox."""

from hoox_tui.cli import main

if __name__ == "__main__":
    main()
