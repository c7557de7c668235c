{# Whole days from one date to another. #}
{% macro days_between(first, last) -%}
    {{ dbt.datediff(first, last, 'day') }}
{%- endmacro %}


{# A date some days later; the engines disagree about the type of date plus interval, so it is cast. #}
{% macro add_days(day, count) -%}
    cast({{ dbt.dateadd('day', count, day) }} as date)
{%- endmacro %}


{# A date some days earlier. #}
{% macro days_before(day, count) -%}
    {{ add_days(day, 0 - count) }}
{%- endmacro %}


{# Whole minutes from one timestamp to another. #}
{% macro minutes_between(first, last) -%}
    {{ dbt.datediff(first, last, 'minute') }}
{%- endmacro %}


{# The day the run stands on. #}
{% macro as_of() -%}
    cast('{{ var("as_of") }}' as date)
{%- endmacro %}
