"""The desk with vault and requests: `python -m orchestration.desk`, with the arguments of `python -m serving`."""

from orchestration.contacts import open_reveal
from orchestration.privacy.on_desk import open_office
from serving.__main__ import main

if __name__ == "__main__":
    main(open_reveal, open_office)
