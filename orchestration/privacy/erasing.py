"""Erasing and anonymising over every store: resumable, proved by a search, and signed."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from ingestion.vault import Asked, Vault
from orchestration.control.privacy_requests import PrivacyRequests
from orchestration.deployment import Deployment
from orchestration.home import hold
from orchestration.privacy.informing import MEDIUM, SourceSystems
from orchestration.privacy.stores import (
    OWN_RECORDS,
    Erasable,
    find_folders,
    find_stores,
    find_uncovered,
    name_encrypted,
    read_objects,
)
from orchestration.privacy.subjects import find_identifiers, find_linked_ids, reveal
from orchestration.resources import open_warehouse
from orchestration.sending import open_channels
from privacy.duckdb_file import remove_leftovers
from privacy.duckdb_tables import Mode
from privacy.files import Search, search
from privacy.identifiers import Identifiers, Keyring, join
from privacy.receipt import sign
from privacy.requests import STORE_DONE, Request, RequestError, check_move
from privacy.traces import Trace
from retention.store.store import Store

SIGNING_KEY = "signing.key"


@dataclass(frozen=True, kw_only=True)
class Erasing:
    """Erasures of an instance, by a person called `by`; `now` is the clock."""

    deployment: Deployment
    store: Store
    keyring: Keyring
    by: str
    now: Callable[[], datetime]

    def plan(self, requests: Sequence[Request], *, with_contacts: bool = False) -> dict[str, list[Trace]]:
        """Find every trace in every store, seal what finds them, and return the traces by store."""
        for each in requests:
            check_move(each, "planned", by=self.by, note="")
        with self._alone():
            with self._warehouse_open():
                found = self._identify(requests, with_contacts=with_contacts)
            identifiers = join(found.values())
            traces = {each.name: each.plan(identifiers) for each in self.find_stores()}
        counts = {name: {"places": len(listed), "rows": sum(t.rows for t in listed)} for name, listed in traces.items()}
        for each in requests:
            own = found[each.request_id]
            evidence: dict[str, Any] = {
                "ids": len(own.customers),
                "searched": len(own.searched),
                "indistinct": own.indistinct,
            }
            evidence |= {"planned_together": len(requests), "stores": counts}
            self._requests.move(each, "planned", by=self.by, at=self.now(), evidence=evidence)
        return traces

    def _refresh(self, requests: Sequence[Request]) -> dict[str, Identifiers]:
        """Return what finds the customer of each request; a night since the plan may have brought more."""
        planned = [each for each in requests if each.state == "planned"]
        if planned:
            self._identify(planned, with_contacts=False)
        current = [self._requests.find(each.request_id) for each in requests]
        return {each.request_id: self._requests.unseal(each, keyring=self.keyring) for each in current}

    def _identify(self, requests: Sequence[Request], *, with_contacts: bool) -> dict[str, Identifiers]:
        """Find everything by which the customer of each request is found, and keep it sealed."""
        held = [self._requests.unseal(each, keyring=self.keyring) for each in requests]
        linked = find_linked_ids(self.deployment, [each.customers for each in held], with_contacts=with_contacts)
        found = find_identifiers(self.deployment, self.store, linked)
        identified = {
            each.request_id: self._reveal(each, *own).with_former(former)
            for each, own, former in zip(requests, found, held, strict=True)
        }
        self._requests.seal(identified, keyring=self.keyring)
        return identified

    def _reveal(self, request: Request, identifiers: Identifiers, owned: Sequence[Asked]) -> Identifiers:
        if self._vault is None:
            return identifiers
        purpose = f"request {request.request_id}: what is searched for"
        return reveal(self._vault, identifiers, owned, purpose=purpose, at=self.now())

    def run(self, requests: Sequence[Request]) -> dict[str, Path]:
        """Carry out planned requests of one kind together; return the receipt of each.

        What a killed run has done stays done, and the next one goes on behind it; of the requests, those that it ended
        are left alone. Raises RequestError, with the requests partial, where the search still finds an identifier.
        """
        mode = self._check(requests)
        ended = {each.request_id: self._receipt_of(each) for each in requests if each.state == "done"}
        requests = [each for each in requests if each.state != "done"]
        if not requests:
            return ended
        with self._alone():
            with self._warehouse_open():
                held = self._refresh(requests)
            identifiers = join(held.values())
            requests = [
                self._requests.move(each, "running", by=self.by, at=self.now()) if each.state != "running" else each
                for each in requests
            ]
            for each in requests:
                ids = held[each.request_id].customers
                self._requests.suppress(each, ids, keyring=self.keyring, at=self.now())
            done = self._read_finished(requests)
            for store in self.find_stores():
                if store.name not in done:
                    self._erase(store, requests, identifiers, mode=mode)
            proof = self._prove(identifiers)
            receipts = {
                each.request_id: self._finish(each, proof, identifiers=held[each.request_id]) for each in requests
            }
        return ended | receipts

    def _check(self, requests: Sequence[Request]) -> Mode:
        kinds = {each.kind for each in requests}
        if len(kinds) != 1:
            raise RequestError("Erasures and anonymisations are carried out apart; name requests of one kind.")
        for each in requests:
            if each.state not in {"planned", "running", "partial", "done"}:
                raise RequestError(
                    f"The request {each.request_id} is {each.state}; `holdfast privacy verify` and `plan` come first."
                )
        return "erasure" if kinds == {"erasure"} else "anonymisation"

    def _erase(self, store: Erasable, requests: Sequence[Request], identifiers: Identifiers, *, mode: Mode) -> None:
        self._let_go()
        evidence = store.erase(identifiers, mode=mode).as_dict()
        self._requests.note_store(requests, by=self.by, at=self.now(), evidence=evidence)

    def _read_finished(self, requests: Sequence[Request]) -> set[str]:
        """Return the stores that an earlier run has finished for all of these requests."""
        return set.intersection(*(self._read_finished_of(each) for each in requests))

    def _read_finished_of(self, request: Request) -> set[str]:
        """Return the stores that are done since the request was last planned, or found not to be clean."""
        done: set[str] = set()
        for event in self._requests.read_events(request.request_id):
            if event["event"] in {"planned", "partial"}:
                done.clear()
            elif event["event"] == STORE_DONE:
                done.add(event["evidence"]["store"])
        return done

    def _prove(self, identifiers: Identifiers) -> "Proof":
        stores = self.find_stores()
        left = {each.name: each.plan(identifiers) for each in stores}
        self._let_go()
        settings = self.deployment.settings
        objects = read_objects(settings)
        found = search(find_folders(settings), identifiers, key=settings.encryption_key, objects=objects)
        sealed = tuple(name_encrypted(settings))
        return Proof(
            search=found,
            stores=tuple(each.name for each in stores),
            left={name: len(traces) for name, traces in left.items() if traces},
            sealed=sealed,
        )

    def _finish(self, request: Request, proof: "Proof", *, identifiers: Identifiers) -> Path:
        if not proof.is_clean:
            evidence = {"hits": proof.search.hits, "left": proof.left}
            self._requests.move(request, "partial", by=self.by, at=self.now(), evidence=evidence)
            named = ", ".join(sorted({*proof.search.hits, *proof.left}))
            raise RequestError(
                f"The request {request.request_id} is partial: an identifier is still found in {named}. Remove what no "
                "store of Holdfast wrote, or stop what still writes there, and run it again."
            )
        receipt = self._write_receipt(request, proof, identifiers=identifiers)
        self._requests.end(request, "done", by=self.by, at=self.now(), evidence={"receipt": receipt.name})
        return receipt

    def _write_receipt(self, request: Request, proof: "Proof", *, identifiers: Identifiers) -> Path:
        folder = self.deployment.settings.home / OWN_RECORDS
        events = self._requests.read_events(request.request_id)
        content: dict[str, Any] = {
            "request_id": request.request_id,
            "kind": request.kind,
            "law": request.law,
            "received_on": request.received_on.isoformat(),
            "due_on": request.due_on.isoformat(),
            "steps": [
                {"step": each["event"], "by": each["done_by"], "at": each["done_at"].isoformat()}
                for each in events
                if each["event"] != STORE_DONE
            ],
            "accounts": len(identifiers.customers),
            "stores": [each["evidence"] for each in events if each["event"] == STORE_DONE],
            "proved_by": {
                "every column and text of": list(proof.stores),
                "every byte of": f"{proof.search.files - len(proof.sealed)} files",
                "not by bytes, because encrypted": list(proof.sealed),
                "not by bytes, because it could be somebody else's": f"{identifiers.indistinct} ids or values",
            },
            "search": {
                "files": proof.search.files,
                "bytes": proof.search.bytes_read,
                "values": proof.search.values,
                "hits": 0,
                "only_searched_in_columns_of_ids": identifiers.indistinct,
            },
            "not_covered": find_uncovered(self.deployment.settings),
            "finished_at": self.now().isoformat(),
        }
        signed = sign(content, key_file=folder / SIGNING_KEY)
        path = self._receipt_of(request)
        path.write_text(json.dumps(signed, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return path

    def _receipt_of(self, request: Request) -> Path:
        return self.deployment.settings.home / OWN_RECORDS / f"receipt-{request.request_id}.json"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the instance for the length of a block, without what a killed run, or a build on Spark, left there."""
        settings = self.deployment.settings
        with hold(settings.home):
            remove_leftovers(settings.home)
            shutil.rmtree(settings.spark_folder, ignore_errors=True)  # compressed, so that no search finds an id in it
            yield

    @contextmanager
    def _warehouse_open(self) -> Iterator[None]:
        """Keep the warehouse open for the length of a block: opening it takes longer than one request's questions."""
        with open_warehouse(self.deployment.settings).connect():
            yield

    def _let_go(self) -> None:
        """Close this process's connections before it reads the files behind them.

        Closing any handle on a file ends all locks that the process has on it (POSIX), and another process may then
        take away the log that SQLite is writing to. The store connects anew when it is next asked.
        """
        self.store.close()

    def find_stores(self) -> list[Erasable]:
        """Return every store of the instance as it is now."""
        self._let_go()
        sources = tuple(self.deployment.company.sources)
        informed = open_channels(self.deployment).get(MEDIUM)
        outside: list[Erasable] = [SourceSystems(channel=informed, at=self.now())] if informed else []
        return [*outside, *find_stores(self.deployment.settings, sources=sources, at=self.now())]

    @cached_property
    def _vault(self) -> Vault | None:
        """The vault, whose key is derived once, because that is slow."""
        environment = self.deployment.settings.environment
        return Vault.from_secrets(environment) if Vault.is_named(environment) else None

    @property
    def _requests(self) -> PrivacyRequests:
        return PrivacyRequests(self.store)


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What a search of all bytes and of all rows in `stores` still finds; of `sealed` files the bytes are encrypted."""

    search: Search
    stores: tuple[str, ...]
    left: dict[str, int]
    sealed: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether nothing is found."""
        return not self.search.hits and not self.left
