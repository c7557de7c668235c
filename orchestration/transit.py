"""What leaves this machine leaves it by TLS: each address that the company file or the environment names is checked."""

from collections.abc import Collection, Iterator, Mapping

from company.company_file import Company
from company.transit import SECURED_BY_MODE, TransitError, find_plain, list_addresses
from orchestration.engines.bucket import ENDPOINT, FILES, SCHEME


def refuse_plain(company: Company, environment: Mapping[str, str]) -> None:
    """Raise TransitError where an address would be reached in clear, unless `allow_plain` names its host."""
    named = environment.keys() & {*company.secret_names, *_list_secrets(company)}
    ours = {name for name in environment if name.startswith("HOLDFAST_")}
    if environment.get(FILES, "").startswith(SCHEME):
        ours |= {ENDPOINT} & environment.keys()
    for place, address in _list_all(company, {name: environment[name] for name in named | ours}):
        _check(place, address, allowed=company.allow_plain)


def _list_all(company: Company, variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    settings = {name: source.model_dump() for name, source in company.sources.items()}
    yield from list_addresses(settings, f"{company.path}: sources")
    yield from list_addresses(company.channels, f"{company.path}: channels")
    yield from list_addresses(company.policy, f"{company.path}: policy")
    for name, value in sorted(variables.items()):
        yield from list_addresses(value, name)


def _list_secrets(company: Company) -> Iterator[str]:
    """Yield every text of the channels' settings, of which some are names of variables that hold an address."""
    for settings in company.channels.values():
        yield from (value for value in (settings or {}).values() if isinstance(value, str))


def _check(place: str, address: str, *, allowed: Collection[str]) -> None:
    host = find_plain(address)
    if host is None or host in allowed:
        return
    scheme = address.split(":", maxsplit=1)[0].split("+", maxsplit=1)[0]
    fix = "add `?sslmode=verify-full`" if scheme in SECURED_BY_MODE else "use its address with TLS, such as https"
    raise TransitError(
        f"{place}: {host} would be reached without TLS ({scheme}), where others can read what is sent. For this host, "
        f"{fix}; or name it under `allow_plain` in the company file, if its network is yours alone."
    )
