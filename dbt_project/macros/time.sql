{# The day on the company's clock of a timestamp kept in UTC. #}
{% macro local_day(moment) -%}
    {{ return(adapter.dispatch('local_day', 'holdfast')(moment)) }}
{%- endmacro %}

{% macro default__local_day(moment) -%}
    cast(from_utc_timestamp({{ moment }}, '{{ var("timezone") }}') as date)
{%- endmacro %}

{% macro duckdb__local_day(moment) -%}
    cast(timezone('{{ var("timezone") }}', timezone('UTC', {{ moment }})) as date)
{%- endmacro %}


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


{# Monday 1 to Sunday 7: the engines count weekdays differently. #}
{% macro weekday(day) -%}
    {{ return(adapter.dispatch('weekday', 'holdfast')(day)) }}
{%- endmacro %}

{% macro default__weekday(day) -%}
    (weekday({{ day }}) + 1)
{%- endmacro %}

{% macro duckdb__weekday(day) -%}
    isodow({{ day }})
{%- endmacro %}


{# The day the run stands on. #}
{% macro as_of() -%}
    cast('{{ var("as_of") }}' as date)
{%- endmacro %}
