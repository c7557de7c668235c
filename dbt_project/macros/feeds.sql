{# Whether the company connects a canonical table. #}
{% macro is_fed(table) -%}
    {{ return((var('feeds') or {}).get(table, []) | length > 0) }}
{%- endmacro %}


{#
    All rows of a canonical table from every raw schema that feeds it, or no row of the right types when none does.
    Of the same key in two feeds the first feed's row is kept.
#}
{% macro landed(table) -%}
{%- set declared = canonical_tables()[table] -%}
{%- set schemas = (var('feeds') or {}).get(table, []) -%}
{%- if schemas | length == 0 -%}
select
    {%- for column in declared.columns %}
    cast(null as {{ column.type }}) as {{ column.name }}{{ ',' if not loop.last }}
    {%- endfor %}
where 1 = 0
{%- elif schemas | length == 1 -%}
{{ raw_rows(schemas[0], table, declared) }}
{%- else -%}
select
    {%- for column in declared.columns %}
    {{ column.name }}{{ ',' if not loop.last }}
    {%- endfor %}
from (
    {%- for schema in schemas %}
    {{ raw_rows(schema, table, declared, loop.index) | indent(4) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
) as feeds
qualify row_number() over (partition by {{ declared.key | join(', ') }} order by feed_number) = 1
{%- endif -%}
{%- endmacro %}


{% macro raw_rows(schema, table, declared, feed_number=none) -%}
select
    {%- for column in declared.columns %}
    {{ column.name }}{{ ',' if not loop.last or feed_number is not none }}
    {%- endfor %}
    {%- if feed_number is not none %}
    {{ feed_number }} as feed_number
    {%- endif %}
from {{ schema }}.{{ table }}
{%- endmacro %}
