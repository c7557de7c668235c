{# A feature that rests on the tables named: a number, or unknown when the company does not connect one of them. #}
{% macro fed(tables, expression) -%}
    {%- set absent = tables | reject('in', fed_tables()) | list -%}
    cast({{ expression if absent | length == 0 else 'null' }} as double)
{%- endmacro %}


{# The canonical tables the company connects. #}
{% macro fed_tables() -%}
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
    {%- for feature in library_features() if feature.needs | reject('in', fed_tables()) | list | length == 0 -%}
        {#- sums of doubles end with the order of the rows: what the last digits say is not told -#}
        {%- set mean = 'round(avg(' ~ feature.name ~ '), 9)' -%}
        {%- do rows.append({
            'attribute_name': "'" ~ feature.name ~ "'",
            'count_known': 'count(' ~ feature.name ~ ')',
            'mean_value': mean,
            'median_value': 'median(' ~ feature.name ~ ')',
            'variance': 'round(var_samp(' ~ feature.name ~ '), 9)',
            'said_en': feature.en | replace('{x}', mean),
            'said_zh': feature.zh | replace('{x}', mean),
        }) -%}
    {%- endfor -%}
    {{ return(rows) }}
{%- endmacro %}
