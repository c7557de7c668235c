{# The groups in which incidents are looked for: those of the policy that the customers have, and their plan and cohort. #}
{% macro incident_groups() -%}
    {%- set asked = policy('incidents', 'group_by') -%}
    {{ return(known_columns('customers', asked) + (asked | select('in', ['plan', 'cohort']) | list)) }}
{%- endmacro %}


{# The latest days, as window 0, and the same days of the weeks before. #}
{% macro incident_windows() -%}
{%- for number in range(policy('incidents', 'baseline_weeks') + 1) -%}
select
    {{ number }} as window_number,
    {{ days_before(as_of(), 7 * number + policy('incidents', 'days')) }} as first_date,
    {{ days_before(as_of(), 7 * number + 1) }} as last_date
{{ 'union all\n' if not loop.last }}
{%- endfor -%}
{%- endmacro %}


{# What may happen to a customer that makes an incident when it happens to many. #}
{% macro incident_measures() -%}
{%- for name in ['complaints', 'failures', 'departures', 'opinions', 'inactivity'] -%}
select '{{ name }}' as measure
{{ 'union all\n' if not loop.last }}
{%- endfor -%}
{%- endmacro %}


{# The last 26 whole weeks before the day of the run, as week 0 and up. #}
{% macro past_weeks() -%}
{%- for number in range(26) -%}
select
    {{ number }} as week_number,
    {{ days_before(as_of(), 7 * number + 7) }} as first_date,
    {{ days_before(as_of(), 7 * number + 1) }} as last_date
{{ 'union all\n' if not loop.last }}
{%- endfor -%}
{%- endmacro %}

{# Whom each group holds, and all known customers as the group `everybody`. #}
{% macro members_and_everybody() -%}
select * from {{ ref('group_members') }}
union all
select
    'everybody' as group_name,
    customer_id,
    known_date
from {{ ref('customers') }}
where known_date is not null
{%- endmacro %}
