{#
    Who can be lost at each `as_of` of a relation of snapshots, by a churn definition: one row per as_of and customer.

    inactivity: who bought within the active days before. spend_fall: of those, who spent something within as many days
    before as the horizon is long. contract_end: who has a running contract. account_closed: who has a contract that
    began and of which no notice took effect, whether or not it was renewed.
#}
{% macro churn_population(definition, snapshots) -%}
{%- if definition.definition in ('inactivity', 'spend_fall') -%}
select
    {{ snapshots }}.as_of,
    order_days.customer_id
from {{ snapshots }}
cross join {{ ref('int_customer_order_days') }} as order_days
where
    order_days.order_date < {{ snapshots }}.as_of
    and order_days.order_date >= {{ days_before(snapshots ~ '.as_of', days_looked_back(definition)) }}
group by {{ snapshots }}.as_of, order_days.customer_id
having
    max(order_days.order_date) >= {{ days_before(snapshots ~ '.as_of', definition.active_within_days) }}
    {%- if definition.definition == 'spend_fall' %}
    and sum(
        case
            when order_days.order_date >= {{ days_before(snapshots ~ '.as_of', definition.horizon_days) }}
                then order_days.amount_spent
        end
    ) > 0
    {%- endif %}
{%- else -%}
{%- set ended_date = 'cancelled_date' if definition.definition == 'account_closed' else 'ended_date' -%}
select distinct
    {{ snapshots }}.as_of,
    subscriptions.customer_id
from {{ snapshots }}
cross join {{ ref('int_subscriptions_dated') }} as subscriptions
where
    subscriptions.started_date < {{ snapshots }}.as_of
    and (subscriptions.{{ ended_date }} is null or subscriptions.{{ ended_date }} >= {{ snapshots }}.as_of)
{%- endif -%}
{%- endmacro %}


{# How many days before an `as_of` decide who can be lost. #}
{% macro days_looked_back(definition) -%}
    {%- set days = [definition.active_within_days] -%}
    {%- if definition.definition == 'spend_fall' -%}
        {%- do days.append(definition.horizon_days) -%}
    {%- endif -%}
    {{ return(days | max) }}
{%- endmacro %}


{#
    Who of a relation of windows (as_of, customer_id, label_from, label_until) stayed, by a churn definition.

    inactivity: bought within the window. spend_fall: spent more within the window than the share of what was spent in
    as many days before `as_of` that a fall leaves. contract_end: has a running contract when the window ends.
    account_closed: has a contract of which no notice took effect by then.
#}
{% macro churn_stayers(definition, windows) -%}
{%- if definition.definition in ('inactivity', 'spend_fall') -%}
select
    {{ windows }}.as_of,
    {{ windows }}.customer_id
from {{ windows }}
inner join {{ ref('int_customer_order_days') }} as order_days on {{ windows }}.customer_id = order_days.customer_id
where
    order_days.order_date < {{ windows }}.label_until
    and order_days.order_date >= {{ days_before(windows ~ '.as_of', definition.horizon_days) }}
group by {{ windows }}.as_of, {{ windows }}.customer_id
having
    count_if(order_days.order_date >= {{ windows }}.label_from) > 0
    {%- if definition.definition == 'spend_fall' %}
    and sum(case when order_days.order_date >= {{ windows }}.label_from then order_days.amount_spent else 0 end)
    > {{ 1 - definition.fall_share }}
    * sum(case when order_days.order_date < {{ windows }}.as_of then order_days.amount_spent else 0 end)
    {%- endif %}
{%- else -%}
{%- set ended_date = 'cancelled_date' if definition.definition == 'account_closed' else 'ended_date' -%}
select distinct
    {{ windows }}.as_of,
    {{ windows }}.customer_id
from {{ windows }}
inner join {{ ref('int_subscriptions_dated') }} as subscriptions
    on
        {{ windows }}.customer_id = subscriptions.customer_id
        and {{ windows }}.label_until > subscriptions.started_date
        and (subscriptions.{{ ended_date }} is null or {{ windows }}.label_until <= subscriptions.{{ ended_date }})
{%- endif -%}
{%- endmacro %}


{# The canonical table whose feeds decide who stayed, by a churn definition. #}
{% macro table_of_churn(definition) -%}
    {{ return('orders' if definition.definition in ('inactivity', 'spend_fall') else 'subscriptions') }}
{%- endmacro %}


{#
    Of each `as_of` of a relation of snapshots the window of a churn definition, and whether what happened in it is known:
    every feed that decides reaches beyond it, and no day is missing in it or in the days before `as_of` that decide who
    can be lost.
#}
{% macro churn_windows(definition, snapshots) -%}
select
    windows.as_of,
    windows.label_from,
    windows.label_until,
    windows.label_until <= knowledge.known_until and count(missing.feed) = 0 as is_mature
from (
    select
        as_of,
        {{ add_days('as_of', definition.lead_days) }} as label_from,
        {{ add_days('as_of', definition.lead_days + definition.horizon_days) }} as label_until
    from {{ snapshots }}
) as windows
cross join (
    select coalesce(min(known_until), {{ as_of() }}) as known_until
    from {{ ref('feed_coverage') }}
    where source_table = '{{ table_of_churn(definition) }}'
) as knowledge
left join {{ ref('feed_pauses') }} as missing
    on
        missing.is_missing
        and missing.source_table = '{{ table_of_churn(definition) }}'
        and missing.paused_from < windows.label_until
        and {{ days_before('windows.as_of', days_looked_back(definition)) }} < missing.paused_until
        and (windows.as_of > missing.paused_from or windows.label_from < missing.paused_until)
group by windows.as_of, windows.label_from, windows.label_until, knowledge.known_until
{%- endmacro %}


{# Every churn definition of the company, the main one first, without repetition. #}
{% macro churn_definitions() -%}
    {%- set found = [] -%}
    {%- for definition in [var('churn')] + (var('churn_also') or []) if definition not in found -%}
        {%- do found.append(definition) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#
    What became of whom each of the company's definitions could lose, over the relations `known` (as_of, customer_id) and
    `snapshots` (as_of) of the model that asks.
#}
{% macro outcomes_by_definition() -%}
with
{%- for definition in churn_definitions() %}
population_{{ loop.index }} as (

    {{ churn_population(definition, 'snapshots') | indent(4) }}

),

spans_{{ loop.index }} as (

    {{ churn_windows(definition, 'snapshots') | indent(4) }}

),

windows_{{ loop.index }} as (

    select
        known.as_of,
        known.customer_id,
        spans.label_from,
        spans.label_until,
        spans.is_mature
    from known
    inner join population_{{ loop.index }} as population
        on
            known.as_of = population.as_of
            and known.customer_id = population.customer_id
    inner join spans_{{ loop.index }} as spans on known.as_of = spans.as_of

),

stayed_{{ loop.index }} as (

    {{ churn_stayers(definition, 'windows_' ~ loop.index) | indent(4) }}

){{ ',' if not loop.last }}
{%- endfor %}
{%- for definition in churn_definitions() %}
select
    windows.as_of,
    windows.customer_id,
    '{{ definition.definition }}' as definition,
    cast({{ definition.lead_days }} as bigint) as lead_days,
    cast({{ definition.horizon_days }} as bigint) as horizon_days,
    {{ 'true' if loop.first else 'false' }} as is_main,
    windows.label_from,
    windows.label_until,
    windows.is_mature,
    case when windows.is_mature then stayed.customer_id is null end as churned
from windows_{{ loop.index }} as windows
left join stayed_{{ loop.index }} as stayed
    on
        windows.as_of = stayed.as_of
        and windows.customer_id = stayed.customer_id
{{ 'union all' if not loop.last }}
{%- endfor %}
{%- endmacro %}
