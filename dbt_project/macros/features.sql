{# A feature that rests on the tables named: a number, or unknown when the company does not connect one of them. #}
{% macro when_connected(tables, expression) -%}
    {%- set absent = tables | reject('in', connected_tables()) | list -%}
    cast({{ expression if absent | length == 0 else 'null' }} as double)
{%- endmacro %}


{# A count over tables: 0 for a customer without a row, null where the company does not connect them. #}
{% macro counted(tables, expression) -%}
    {%- set absent = tables | reject('in', connected_tables()) | list -%}
    cast({{ 'coalesce(' ~ expression ~ ', 0)' if absent | length == 0 else 'null' }} as bigint)
{%- endmacro %}


{# The canonical tables the company connects. #}
{% macro connected_tables() -%}
    {%- set connected = [] -%}
    {%- for table, schemas in (var('feeds') or {}).items() if schemas | length > 0 -%}
        {%- do connected.append(table) -%}
    {%- endfor -%}
    {{ return(connected) }}
{%- endmacro %}


{# A share in words, in whole percent. #}
{% macro as_percent(share) -%}
    concat(cast(cast(100 * {{ share }} as decimal(38, 0)) as varchar), '%')
{%- endmacro %}


{# Whether a table that is written further down lacks the day `as_of`; a full refresh writes every day anew. #}
{% macro not_yet_in(schema, table) -%}
    {%- set found = adapter.get_relation(target.database, schema, table) if execute and not flags.FULL_REFRESH -%}
    {{ 'as_of not in (select as_of from ' ~ found ~ ')' if found else 'true' }}
{%- endmacro %}


{# What is measured of every feature the company can have, and said of it, as rows to unfold. #}
{% macro measured_features() -%}
    {%- set rows = [] -%}
    {%- set columns = graph.nodes['model.holdfast.customer_features'].columns.values() if execute else [] -%}
    {%- for feature in columns if feature.meta.needs is defined and feature.meta.needs | reject('in', connected_tables()) | list | length == 0 -%}
        {#- sums of doubles end with the order of the rows: what the last digits say is left out, first those that
            decide where a mean of few values lies halfway between two of nine digits -#}
        {%- set mean = 'round(round(avg(' ~ feature.name ~ '), 12), 9)' -%}
        {%- do rows.append({
            'attribute_name': "'" ~ feature.name ~ "'",
            'count_known': 'count(' ~ feature.name ~ ')',
            'mean_value': mean,
            'median_value': 'median(' ~ feature.name ~ ')',
            'variance': 'round(round(var_samp(' ~ feature.name ~ '), 12), 9)',
            'said_en': phrase_of(feature.meta.en, mean),
            'said_zh': phrase_of(feature.meta.zh, mean),
            'finely_en': phrase_of(feature.meta.en, mean, finer=2),
            'finely_zh': phrase_of(feature.meta.zh, mean, finer=2),
        }) -%}
    {%- endfor -%}
    {{ return(rows) }}
{%- endmacro %}


{#
    A phrase of the library as SQL, with a value in its place. The library writes the place in Python's format language:
    a number of decimals or of percent, with or without a sign; `finer` adds decimals.
#}
{% macro phrase_of(phrase, value, finer=0) -%}
    {%- set parts = [] -%}
    {%- for part in modules.re.split('([{]value:[^}]+[}])', phrase) if part -%}
        {%- set place = modules.re.fullmatch('[{]value:([+]?)[.]([0-9])([f%])[}]', part) -%}
        {%- if not place -%}
            {%- do parts.append("'" ~ part | replace("'", "''") ~ "'") -%}
        {%- else -%}
            {%- if place.group(1) -%}
                {%- do parts.append('case when ' ~ value ~ " < 0 then '' else '+' end") -%}
            {%- endif -%}
            {%- set shown = '100 * ' ~ value if place.group(3) == '%' else value -%}
            {%- do parts.append('cast(cast(' ~ shown ~ ' as decimal(38, ' ~ (place.group(2) | int + finer) ~ ')) as varchar)') -%}
            {%- if place.group(3) == '%' -%}
                {%- do parts.append("'%'") -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return('concat(' ~ parts | join(', ') ~ ')') }}
{%- endmacro %}


{# The signed root of the deviance of a Poisson count, above 0 where the count lies below its mean. #}
{% macro poisson_fall(count, mean) -%}
    (case when {{ count }} > {{ mean }} then -1 else 1 end)
    * sqrt(2 * greatest(coalesce({{ count }} * ln(nullif({{ count }}, 0) / {{ mean }}), 0) - ({{ count }} - {{ mean }}), 0))
{%- endmacro %}
