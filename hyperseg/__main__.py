"""`python -m hyperseg`, which is also what torchrun starts: `torchrun --nproc-per-node 2 -m hyperseg ...`."""

from hyperseg.cli import main

if __name__ == "__main__":
    main()
