{# Every day that must have a feature slice after the run, in order. #}
{% macro wanted_slices() -%}
    {%- set days = [] -%}
    {%- for day in (var('snapshots') or []) + [var('as_of')] -%}
        {%- do days.append(day | string) -%}
    {%- endfor -%}
    {{ return(days | unique | sort) }}
{%- endmacro %}


{#
    The slices this run builds: those that are wanted and missing, those so young that late rows may belong to them, and
    always the slice of the run's own day.
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
    {%- set as_of = modules.datetime.date.fromisoformat(var('as_of') | string) -%}
    {%- set settled = (as_of - modules.datetime.timedelta(days=cleaning('late_days'))).isoformat() -%}
    {%- set kept = found | reject('ge', settled) | list -%}
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
