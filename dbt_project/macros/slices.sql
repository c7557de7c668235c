{# Every day that must have a feature slice after the run, in order. #}
{% macro wanted_slices() -%}
    {%- set days = [] -%}
    {%- for day in (var('snapshots') or []) + [var('as_of')] -%}
        {%- do days.append(day | string) -%}
    {%- endfor -%}
    {{ return(days | unique | sort) }}
{%- endmacro %}


{#
    The slices this run builds: those that are wanted and missing, and always the slice of the run's own day.
    The answer rests on features.customer_features alone, which is written last: a run that was killed between
    the facts and the features starts the same slices again.
#}
{% macro slices_to_build() -%}
    {%- set wanted = wanted_slices() -%}
    {%- if not execute or flags.FULL_REFRESH -%}
        {{ return(wanted) }}
    {%- endif -%}
    {%- set features = adapter.get_relation(target.database, 'features', 'customer_features') -%}
    {%- if features is none -%}
        {{ return(wanted) }}
    {%- endif -%}
    {%- set found = run_query('select distinct cast(as_of as varchar) as as_of from ' ~ features).columns[0].values() | map('string') | list -%}
    {%- set kept = found | reject('equalto', var('as_of') | string) | list -%}
    {{ return(wanted | reject('in', kept) | list) }}
{%- endmacro %}


{# The slices as a relation of one column, as_of. #}
{% macro slices() -%}
{%- for day in slices_to_build() -%}
select cast('{{ day }}' as date) as as_of
{%- if not loop.last %}
union all
{% endif -%}
{%- endfor -%}
{%- endmacro %}


{# How a slice replaces its former self: by engine, since not every engine deletes rows. #}
{% macro slice_strategy() -%}
    {{ return('insert_overwrite' if target.type == 'spark' else 'delete+insert') }}
{%- endmacro %}
