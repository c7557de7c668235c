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


{#
    The day the run stands on. It comes by the environment and is asked for only where a model is run: dbt parses the
    whole project anew when its --vars differ from those of the run before, and a night differs in its day alone.
#}
{% macro run_day() -%}
    {{ return(env_var('HOLDFAST_AS_OF', '1970-01-01') if execute else '1970-01-01') }}
{%- endmacro %}

{% macro as_of() -%}
    cast('{{ run_day() }}' as date)
{%- endmacro %}
