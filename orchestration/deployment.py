"""One company's deployment: what its files declare, read once; definitions and asset bodies are handed it."""

from dataclasses import dataclass
from functools import cached_property

import dagster as dg

from company.company_file import Company
from company.industries import Industry, load_industry
from company.policy import Policy, load_policy
from expectations.features import FeatureRange
from ingestion.readers import load_company
from ml.dataset import Feature
from orchestration.dbt import Dbt, list_extra_features, read_features, read_own_ranges, read_ranges, read_variables
from orchestration.engines import check_models_on, open_engine
from orchestration.settings import Settings
from retention.deciding.strategies import Strategy
from retention.deciding.strategy_files import load_strategies


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A company with its industry's preset, policy, strategies and dbt project, and the settings of its instance."""

    settings: Settings
    company: Company
    industry: Industry
    policy: Policy
    strategies: tuple[Strategy, ...]
    dbt: Dbt

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The declared features, in the order of the feature table's columns."""
        return read_features(self.dbt.manifest)

    @cached_property
    def learned_features(self) -> tuple[Feature, ...]:
        """What a model may learn from: the declared features, and the company's own columns that never change."""
        return (*self.features, *list_extra_features(self.company))

    @cached_property
    def feature_ranges(self) -> tuple[FeatureRange, ...]:
        """What the features gate expects of every feature whose source tables the company connects."""
        return read_ranges(self.dbt.manifest, self.company, null_share=self.policy.gates.maximum_null_share)

    @cached_property
    def own_ranges(self) -> tuple[FeatureRange, ...]:
        """What the features gate expects of the company's own columns that are features."""
        return read_own_ranges(self.company)

    @cached_property
    def days(self) -> dg.DailyPartitionsDefinition:
        """A partition per `as_of`: what is known when that day begins. So today's exists already (end_offset)."""
        start = self.company.history_starts.isoformat()
        return dg.DailyPartitionsDefinition(start_date=start, timezone=self.company.timezone, end_offset=1)

    @cached_property
    def months(self) -> dg.MonthlyPartitionsDefinition:
        """A partition per month of training."""
        start = self.company.history_starts.replace(day=1).isoformat()
        return dg.MonthlyPartitionsDefinition(start_date=start, timezone=self.company.timezone, end_offset=1)


def load_deployment(settings: Settings) -> Deployment:
    """Return the deployment of the company file that the settings name.

    Raises CompanyError, IndustryError, PolicyError or StrategyError, which name the file, the key and the
    fix, or EngineError.
    """
    check_models_on(settings)
    company = load_company(settings.company_file)
    industry = load_industry(company.industry)
    policy = load_policy(industry.policy, company.policy)
    files = (industry.path, *company.strategy_files)
    environment = {**settings.environment, **open_engine(settings).environment}
    return Deployment(
        settings=settings,
        company=company,
        industry=industry,
        policy=policy,
        strategies=load_strategies(*files, policy=policy, currency=company.currency),
        dbt=Dbt(home=settings.home, variables=read_variables(company, policy), environment=environment),
    )
