"""The desk with the instance's vault: `python -m orchestration.desk`, with the arguments of `python -m serving`."""

from orchestration.contacts import open_reveal
from serving.__main__ import main

if __name__ == "__main__":
    main(open_reveal)
