{# The policy's group of a customer as of a snapshot: the condition that holds first names it; null is no group. #}
{% macro customer_group() -%}
    {%- set groups = policy('training', 'groups') -%}
    {%- if groups | length == 0 -%}
    cast(null as varchar)
    {%- else -%}
    case
            {%- for name, condition in groups.items() %}
            when {{ condition }} then '{{ name | replace("'", "''") }}'
            {%- endfor %}
        end
    {%- endif -%}
{%- endmacro %}


{# Those of the names, once each, that are columns of a model under contract. #}
{% macro known_columns(model_name, names) -%}
    {%- set node = graph.nodes.get('model.holdfast.' ~ model_name) if execute -%}
    {%- set columns = node.columns.keys() | list if node else [] -%}
    {{ return(names | unique | select('in', columns) | list) }}
{%- endmacro %}
