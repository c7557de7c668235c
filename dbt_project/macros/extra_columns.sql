{# The company's own columns of customers as items of a select, each with a comma behind it. #}
{% macro extra_columns(of='') -%}
    {%- for column in var('extra_columns') %}
        {{ of ~ column.name }},
    {%- endfor -%}
{%- endmacro %}


{# Those that never change: what holds now held at every snapshot, so that they are features. #}
{% macro fixed_columns() -%}
    {{ return(var('extra_columns') | selectattr('never_changes') | list) }}
{%- endmacro %}


{# A column as a model reads it: text, or a number. #}
{% macro feature_of(column) -%}
    {{ column.name if column.type == 'varchar' else 'cast(' ~ column.name ~ ' as double) as ' ~ column.name }}
{%- endmacro %}
