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
