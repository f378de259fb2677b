"""`make soak`: runs thousands of turns while models fail."""

from tests.soak.soak import main

if __name__ == "__main__":
    main()
