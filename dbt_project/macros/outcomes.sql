{# The days on which windows of decisions may open, of a relation of openings (as_of, customer_id): what is known of each. #}
{% macro outcomes_of_openings(openings) -%}
with
spans as (

    {{ churn_windows(var('churn'), 'snapshots') | indent(4) }}

),

windows as (

    select
        {{ openings }}.as_of,
        {{ openings }}.customer_id,
        spans.label_from,
        spans.label_until,
        spans.is_mature
    from {{ openings }}
    inner join spans on {{ openings }}.as_of = spans.as_of
    inner join {{ ref('int_customers_dated') }} as customers on {{ openings }}.customer_id = customers.customer_id

),

stayed as (

    {{ churn_stayers(var('churn'), 'windows') | indent(4) }}

),

spending as (

    select
        windows.as_of,
        windows.customer_id,
        cast(sum(order_days.amount_spent) as double) as amount_spent
    from windows
    inner join {{ ref('int_customer_order_days') }} as order_days
        on
            windows.customer_id = order_days.customer_id
            and windows.as_of <= order_days.order_date
            and windows.label_until > order_days.order_date
    group by windows.as_of, windows.customer_id

)

select
    windows.as_of,
    windows.customer_id,
    windows.label_until,
    windows.is_mature,
    case when windows.is_mature then stayed.customer_id is not null end as retained,
    case when windows.is_mature then spending.customer_id is not null end as has_bought,
    case when windows.is_mature then coalesce(spending.amount_spent, 0) end as amount_spent
from windows
left join stayed
    on
        windows.as_of = stayed.as_of
        and windows.customer_id = stayed.customer_id
left join spending
    on
        windows.as_of = spending.as_of
        and windows.customer_id = spending.customer_id
{%- endmacro %}


{# The last day up to which everything is known that a customer brings: of all connected tables of it the earliest. #}
{% macro revenue_known_until() -%}
select coalesce(min(known_until), {{ as_of() }}) as known_until
from {{ ref('feed_coverage') }}
where source_table in ('orders', 'subscriptions')
{%- endmacro %}


{# The day up to which it is known who is a customer: that of the feed that decides, and no later than that of the run. #}
{% macro membership_known_until() -%}
select least(coalesce(min(known_until), {{ as_of() }}), {{ as_of() }}) as known_until
from {{ ref('feed_coverage') }}
where source_table = '{{ 'subscriptions' if contracts_decide() else 'orders' }}'
{%- endmacro %}


{# The rows of a relation as the group `all`, and again for each attribute of the policy's groups that a customer has. #}
{% macro by_forecast_group(relation, columns) -%}
{%- set known = ref('customers') -%}
select
    'all' as group_name,
    {%- for column in columns %}
    {{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
from {{ relation }}
{%- for name in known_columns('customers', policy('forecast', 'groups')) %}
union all
select
    concat('{{ name }}: ', customers.{{ name }}) as group_name,
    {%- for column in columns %}
    {{ relation }}.{{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
from {{ relation }}
inner join {{ known }} as customers on {{ relation }}.customer_id = customers.customer_id
where customers.{{ name }} is not null
{%- endfor %}
{%- endmacro %}
