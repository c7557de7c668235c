{#
    Give every source of models/_sources.yml the columns that models read of it. What stands stays; a table that Python
    has not written yet is made without a row, so that a view over it can be made in the first run as in any other.
#}
{% macro create_missing_sources() -%}
    {%- for source in (graph.sources.values() if execute else []) if source.columns | length > 0 -%}
        {%- set address = source.schema ~ '.' ~ source.identifier -%}
        {%- set existing = adapter.get_relation(target.database, source.schema, source.identifier) -%}
        {%- if existing is none -%}
            {%- set statements = ['create schema if not exists ' ~ source.schema, empty_table(address, source.columns)] -%}
        {%- else -%}
            {%- set present = adapter.get_columns_in_relation(existing) | map(attribute='name') | list -%}
            {%- set statements = [] -%}
            {%- for column in source.columns.values() if column.name not in present -%}
                {%- do statements.append('alter table ' ~ address ~ ' add column ' ~ column.name ~ ' ' ~ column.data_type) -%}
            {%- endfor -%}
        {%- endif -%}
        {%- for each in statements -%}
            {%- call statement(auto_begin=True) -%}
            {{ each }}
            {%- endcall -%}
        {%- endfor -%}
        {%- if statements | length > 0 -%}
            {#- what a hook leaves uncommitted is rolled back -#}
            {%- do adapter.commit() -%}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro %}


{% macro empty_table(address, columns) -%}
    {{ return(adapter.dispatch('empty_table', 'holdfast')(address, columns)) }}
{%- endmacro %}

{% macro default__empty_table(address, columns) -%}
create table {{ address }} as
select
    {%- for column in columns.values() %}
    cast(null as {{ column.data_type }}) as {{ column.name }}{{ ',' if not loop.last }}
    {%- endfor %}
where 1 = 0
{%- endmacro %}
